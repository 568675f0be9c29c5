"""What of a file goes on into what is stored and sent: transparency and colours, and nothing else."""

import struct

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from backlot.images.codecs import (
    MAX_PROFILE_BYTES,
    Picture,
    data_url,
    decode,
    encode_jpeg,
    encode_png,
    flatten,
)
from tests.unit.pictures import (
    halves,
    jpeg_segments,
    opened,
    png_chunks,
    profile_for,
    raw_png,
    saved,
    srgb_profile,
)

SIZE = (16, 16)

#: PNGs that name one colour as transparent: that of the left half.
ONE_COLOUR = {
    "grey of 1 bit": (1, 0, b"\x00\xff", struct.pack(">H", 0)),
    "grey of 1 bit, white": (1, 0, b"\xff\x00", struct.pack(">H", 1)),
    "grey of 2 bits": (2, 0, b"\x55\x55\xff\xff", struct.pack(">H", 1)),
    "grey of 4 bits": (4, 0, b"\x77" * 4 + b"\xff" * 4, struct.pack(">H", 7)),
    "grey of 8 bits": (8, 0, b"\x07" * 8 + b"\xff" * 8, struct.pack(">H", 7)),
    "grey of 16 bits": (16, 0, b"\x07\x08" * 8 + b"\x07\x09" * 8, struct.pack(">H", 0x0708)),
    "colours of 8 bits": (8, 2, b"\x01\x02\x03" * 8 + b"\xff" * 24, struct.pack(">HHH", 1, 2, 3)),
    "colours of 16 bits": (16, 2, b"\1\0\2\0\3\0" * 8 + b"\xff" * 48, struct.pack(">HHH", 0x100, 0x200, 0x300)),
}


def alphas(image: Image.Image) -> tuple[int, int]:
    left, right = image.getpixel((0, 0)), image.getpixel((image.width - 1, 0))
    return left[3], right[3]


@pytest.mark.parametrize("name", ONE_COLOUR)
@pytest.mark.parametrize("turned", [False, True], ids=["upright", "turned"])
def test_stored_picture_of_one_transparent_colour_keeps_it(name, turned):
    depth, colour_type, row, colour = ONE_COLOUR[name]
    exif = Image.Exif()
    exif[0x0112] = 2
    chunks = [(b"tRNS", colour), *([(b"eXIf", exif.tobytes())] if turned else [])]

    stored = opened(encode_png(decode(raw_png(SIZE, depth=depth, colour_type=colour_type, row=row, chunks=chunks))))

    assert alphas(stored) == ((255, 0) if turned else (0, 255))


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_stored_picture_of_a_palette_keeps_its_transparent_entry(kind):
    image = halves("RGB", "red", "blue").quantize(2)
    data = saved(image, kind, transparency=image.getpixel((0, 0)))

    assert alphas(opened(encode_png(decode(data)))) == (0, 255)


def test_stored_picture_of_a_palette_keeps_its_half_transparent_entries():
    image = halves("P", 0, 1)
    image.putpalette([255, 0, 0, 0, 0, 255])

    stored = opened(encode_png(decode(saved(image, "PNG", transparency=bytes([100, 200])))))

    assert alphas(stored) == (100, 200)


def annotated(kind: str) -> bytes:
    """Return a picture that tells where, when, by whom and with what it was taken."""
    exif = Image.Exif()
    exif[0x010E] = "the set of episode 12"
    exif[0x0112] = 1
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (48.0, 12.0, 30.0)
    texts = PngInfo()
    texts.add_text("Author", "somebody")
    texts.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta/>")
    options = {
        "JPEG": {"exif": exif, "comment": b"somebody", "xmp": b"<x:xmpmeta/>", "dpi": (300, 300)},
        "PNG": {"exif": exif, "pnginfo": texts, "dpi": (300, 300)},
        "WEBP": {"exif": exif, "xmp": b"<x:xmpmeta/>"},
        "TIFF": {"exif": exif, "description": "somebody"},
        "GIF": {"comment": b"somebody"},
    }[kind]
    return saved(halves("RGB", "red", "blue"), kind, **options)


KINDS = ["JPEG", "PNG", "WEBP", "TIFF", "GIF"]


@pytest.mark.parametrize("kind", KINDS)
def test_stored_picture_carries_no_note_of_its_file(kind):
    stored = encode_png(decode(annotated(kind)))

    assert set(png_chunks(stored)) == {b"IHDR", b"IDAT", b"IEND"}


@pytest.mark.parametrize("kind", KINDS)
def test_sent_picture_carries_no_note_of_its_file(kind):
    sent = encode_jpeg(decode(annotated(kind)), max_side=1000, quality=90)

    frame, tables, coefficients, jfif = 0xC0, 0xDB, 0xC4, 0xE0
    assert jpeg_segments(sent) == {jfif, tables, frame, coefficients}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_stored_and_sent_pictures_keep_the_colours_profile(kind):
    picture = decode(saved(halves("RGB", "red", "blue"), kind, icc_profile=srgb_profile()))

    assert opened(encode_png(picture)).info["icc_profile"] == srgb_profile()
    assert opened(encode_jpeg(picture, max_side=1000, quality=90)).info["icc_profile"] == srgb_profile()


@pytest.mark.parametrize(
    ("mode", "colours", "kept"),
    [
        ("RGB", b"RGB ", True),
        ("RGBA", b"RGB ", True),
        ("L", b"GRAY", True),
        ("RGB", b"GRAY", False),
        ("RGB", b"CMYK", False),
        ("L", b"RGB ", False),
        ("LA", b"GRAY", False),
    ],
)
def test_profile_that_does_not_describe_the_stored_values_is_dropped(mode, colours, kept):
    data = saved(Image.new(mode, (40, 30)), "PNG", icc_profile=profile_for(colours))

    assert (decode(data).icc_profile is not None) is kept


def test_profile_of_a_grey_picture_is_not_sent_with_the_coloured_copy():
    picture = decode(saved(Image.new("L", (40, 30)), "PNG", icc_profile=profile_for(b"GRAY")))

    assert picture.icc_profile
    assert "icc_profile" not in opened(encode_jpeg(picture, max_side=1000, quality=90)).info


@pytest.mark.parametrize("profile", [b"short", srgb_profile()[:36] + b"none" + srgb_profile()[40:]])
def test_profile_that_is_none_is_dropped(profile):
    assert decode(saved(Image.new("RGB", (40, 30)), "PNG", icc_profile=profile)).icc_profile is None


@pytest.mark.parametrize(("size_bytes", "kept"), [(MAX_PROFILE_BYTES, True), (MAX_PROFILE_BYTES + 1, False)])
def test_profile_has_its_largest_size(size_bytes, kept):
    profile = srgb_profile().ljust(size_bytes, b"\0")

    picture = decode(saved(Image.new("RGB", (40, 30)), "WEBP", icc_profile=profile))

    assert (picture.icc_profile is not None) is kept


def test_profile_of_cmyk_is_used_up_by_the_conversion():
    data = saved(Image.new("CMYK", (40, 30)), "TIFF", icc_profile=profile_for(b"CMYK"))

    assert decode(data) == decode(data)
    assert decode(data).icc_profile is None


def test_flatten_lays_transparent_parts_on_white():
    flat = flatten(halves("RGBA", (0, 0, 0, 0), (0, 0, 0, 255)))

    assert (flat.mode, flat.getpixel((0, 0)), flat.getpixel((39, 0))) == ("RGB", (255, 255, 255), (0, 0, 0))


@pytest.mark.parametrize(("side", "size"), [(100, (100, 50)), (200, (200, 100)), (201, (200, 100))])
def test_sent_picture_is_no_larger_than_asked(side, size):
    sent = encode_jpeg(Picture(Image.new("RGB", (200, 100))), max_side=side, quality=90)

    assert opened(sent).size == size


def test_sent_picture_of_a_transparent_one_has_white_where_nothing_is():
    sent = encode_jpeg(Picture(Image.new("RGBA", (64, 64))), max_side=64, quality=95)

    assert opened(sent).getpixel((32, 32)) == (255, 255, 255)


def test_data_url_names_its_type_and_holds_its_bytes():
    assert data_url("image/png", b"\x89PNG") == "data:image/png;base64,iVBORw=="
