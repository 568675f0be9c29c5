"""Reading pictures: what is recognised, what is refused, and what the pixels are afterwards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from backlot.errors import ImageShapeRefused, ImageTooLarge, ImageUnreadable
from backlot.images import codecs
from backlot.images.codecs import Header, decode, read_header, verify
from tests.unit.pictures import boasting_png, halves, opened, plain, saved

RGB = Image.effect_noise((40, 30), 60).convert("RGB")


def two_pages(kind: str) -> bytes:
    return saved(RGB, kind, save_all=True, append_images=[RGB.rotate(180)])


@pytest.mark.parametrize(
    ("kind", "content_type"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("WEBP", "image/webp"),
        ("GIF", "image/gif"),
        ("BMP", "image/bmp"),
        ("TIFF", "image/tiff"),
    ],
)
def test_header_of_an_accepted_format_is_sniffed(kind, content_type):
    assert read_header(saved(RGB, kind)) == Header(content_type, 40, 30)


def test_header_of_a_phones_many_pictures_in_one_is_a_jpeg():
    assert read_header(two_pages("MPO")).content_type == "image/jpeg"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF"])
def test_header_is_read_from_the_beginning_of_a_file(kind):
    data = saved(RGB.resize((400, 300)), kind)
    assert read_header(data[:1500]).width == 400


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7", saved(RGB, "ICO"), saved(RGB, "PPM")],
    ids=["nothing", "text", "svg", "pdf", "ico", "ppm"],
)
@pytest.mark.parametrize("read", [read_header, verify, decode])
def test_file_of_another_format_is_unreadable(read, data):
    with pytest.raises(ImageUnreadable, match="it is empty" if not data else "not JPEG, PNG, WebP, GIF, BMP or TIFF"):
        read(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("read", [verify, decode])
def test_file_that_is_cut_off_is_unreadable(read, kind):
    data = saved(RGB.resize((300, 200)), kind)
    with pytest.raises(ImageUnreadable):
        read(data[: len(data) // 2])


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_decode_of_several_frames_is_refused(kind):
    with pytest.raises(ImageUnreadable, match="several frames"):
        decode(two_pages(kind))


def test_decode_of_a_phones_many_pictures_in_one_takes_the_first():
    assert decode(two_pages("MPO")).pixels.size == RGB.size


@given(st.integers(0, 2**32), st.integers(1, 40), st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]))
def test_decode_of_a_damaged_file_is_a_picture_or_refused(seed, length, kind):
    data = bytearray(saved(RGB, kind))
    at = seed % len(data)
    data[at : at + length] = bytes((seed >> shift) & 0xFF for shift in range(length))
    try:
        pixels = decode(bytes(data)).pixels
    except (ImageUnreadable, ImageTooLarge, ImageShapeRefused):
        return
    assert pixels.mode in ("L", "RGB", "RGBA")


@pytest.mark.parametrize("read", [read_header, verify, decode])
@pytest.mark.parametrize(("width", "height"), [(50_000_001, 1), (7072, 7072), (2**31 - 1, 2**31 - 1)])
def test_picture_of_too_many_pixels_is_refused_before_it_is_decoded(read, width, height):
    with pytest.raises(ImageTooLarge, match="pixels, 50000000 are allowed"):
        read(boasting_png(width, height))


def test_picture_of_as_many_pixels_as_allowed_has_a_header():
    assert read_header(boasting_png(10_000, 5_000)).height == 5_000


def test_decode_takes_as_many_bytes_as_allowed():
    data = saved(RGB, "BMP")
    padding = codecs.MAX_IMAGE_BYTES - len(data)
    assert decode(data + bytes(padding)).width == 40
    with pytest.raises(ImageTooLarge, match="20000001 bytes, 20000000 are allowed"):
        decode(data + bytes(padding + 1))


def test_verify_takes_more_bytes_than_decode():
    assert verify(saved(RGB, "BMP") + bytes(codecs.MAX_IMAGE_BYTES)) == Header("image/bmp", 40, 30)


@pytest.mark.parametrize("size", [(15, 15), (15, 240), (240, 15)])
def test_decode_of_the_smallest_and_longest_pictures_is_allowed(size):
    assert decode(plain(*size)).pixels.size == size


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((14, 100), "each side needs at least 15"),
        ((100, 14), "each side needs at least 15"),
        ((241, 15), "16 times the other"),
        ((15, 241), "16 times the other"),
    ],
)
def test_decode_of_smaller_or_longer_pictures_is_refused(size, reason):
    with pytest.raises(ImageShapeRefused, match=reason):
        decode(plain(*size))


@pytest.mark.parametrize(
    ("image", "kind", "mode", "left", "right"),
    [
        (halves("L", 10, 240), "PNG", "L", 10, 240),
        (halves("1", 0, 1), "PNG", "L", 0, 255),
        (halves("1", 0, 1), "TIFF", "L", 0, 255),
        (halves("I;16", 257 * 10, 65_535), "PNG", "L", 10, 255),
        (halves("I;16", 257 * 10, 65_535), "TIFF", "L", 10, 255),
        (halves("RGB", "red", "blue"), "PNG", "RGB", (255, 0, 0), (0, 0, 255)),
        (halves("RGB", "red", "blue").quantize(2), "PNG", "RGB", (255, 0, 0), (0, 0, 255)),
        (halves("RGB", "red", "blue").quantize(2), "GIF", "RGB", (255, 0, 0), (0, 0, 255)),
        (halves("RGB", "red", "blue").quantize(2), "BMP", "RGB", (255, 0, 0), (0, 0, 255)),
        (halves("RGBA", (9, 8, 7, 0), (1, 2, 3, 99)), "PNG", "RGBA", (9, 8, 7, 0), (1, 2, 3, 99)),
        (halves("LA", (9, 0), (200, 99)), "PNG", "RGBA", (9, 9, 9, 0), (200, 200, 200, 99)),
        (halves("CMYK", (0, 255, 255, 0), (0, 0, 0, 255)), "TIFF", "RGB", (255, 0, 0), (0, 0, 0)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_decode_of_any_mode_gives_one_of_three_with_the_same_colours(image, kind, mode, left, right):
    pixels = decode(saved(image, kind)).pixels

    assert pixels.mode == mode
    assert (pixels.getpixel((0, 0)), pixels.getpixel((39, 19))) == (left, right)


def test_decode_of_a_cmyk_jpeg_has_its_colours():
    image = Image.new("CMYK", (64, 64), (0, 255, 255, 0))
    red, green, blue = decode(saved(image, "JPEG", quality=95)).pixels.getpixel((32, 32))
    assert (red > 245, green < 10, blue < 10) == (True, True, True)


def test_decode_of_32_bits_a_channel_is_refused():
    with pytest.raises(ImageUnreadable, match="32 bits a channel"):
        decode(saved(RGB.convert("F"), "TIFF"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (1, None),
        (2, Image.Transpose.FLIP_LEFT_RIGHT),
        (3, Image.Transpose.ROTATE_180),
        (4, Image.Transpose.FLIP_TOP_BOTTOM),
        (5, Image.Transpose.TRANSPOSE),
        (6, Image.Transpose.ROTATE_90),
        (7, Image.Transpose.TRANSVERSE),
        (8, Image.Transpose.ROTATE_270),
    ],
)
def test_decode_of_a_turned_picture_stands_it_up(kind, orientation, stored):
    upright = halves("RGB", "red", "blue", (48, 32))
    exif = Image.Exif()
    exif[0x0112] = orientation
    lying = upright if stored is None else upright.transpose(stored)
    options = {"lossless": True} if kind == "WEBP" else {}

    pixels = decode(saved(lying, kind, exif=exif, **options)).pixels

    assert pixels.size == (48, 32)
    assert pixels.getpixel((4, 16))[0] > 240
    assert pixels.getpixel((44, 16))[2] > 240


def test_opened_result_of_encode_png_is_the_picture():
    assert opened(codecs.encode_png(codecs.Picture(RGB))).tobytes() == RGB.tobytes()
