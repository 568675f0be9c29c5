"""Pictures as strangers send them: broken, lying, too much, or merely unusual."""

import io
import struct
import zlib

from PIL import Image

from local.demo import PORTRAITS


def portrait() -> Image.Image:
    return Image.open(PORTRAITS / "astronaut.png").convert("RGB")


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that claims a size and has next to no pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def animated(kind: str) -> bytes:
    frames = [portrait().resize((64, 64)), portrait().resize((64, 64)).rotate(90)]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:])


def rotated(orientation: int) -> bytes:
    """Return the portrait lying on its side, with the EXIF note that stands it up again."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}[orientation]
    return saved(portrait().transpose(turn), "JPEG", quality=95, exif=exif)


def corrupted(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(255 - byte for byte in data[middle : middle + 400]) + data[middle + 400 :]


#: What is refused, with the code that says why.
REFUSED: dict[str, tuple[bytes, str]] = {
    "html called png": (b"<html><body>not a picture</body></html>", "IMAGE_UNREADABLE"),
    "text": (b"hello", "IMAGE_UNREADABLE"),
    "no bytes": (b"", "IMAGE_UNREADABLE"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg' width='99' height='99'/>", "IMAGE_UNREADABLE"),
    "pdf": (b"%PDF-1.7\n%%EOF", "IMAGE_UNREADABLE"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 100, "IMAGE_UNREADABLE"),
    "zip": (b"PK\x03\x04" + b"\0" * 60, "IMAGE_UNREADABLE"),
    "jpeg signature only": (b"\xff\xd8\xff\xe0", "IMAGE_UNREADABLE"),
    "jpeg cut off": (saved(portrait(), "JPEG")[:9000], "IMAGE_UNREADABLE"),
    "png cut off": (saved(portrait(), "PNG")[:90000], "IMAGE_UNREADABLE"),
    "png corrupted": (corrupted(saved(portrait(), "PNG")), "IMAGE_UNREADABLE"),
    "webp cut off": (saved(portrait(), "WEBP")[:5000], "IMAGE_UNREADABLE"),
    "gif animated": (animated("GIF"), "IMAGE_UNREADABLE"),
    "webp animated": (animated("WEBP"), "IMAGE_UNREADABLE"),
    "png animated": (animated("PNG"), "IMAGE_UNREADABLE"),
    "tiff of two pages": (animated("TIFF"), "IMAGE_UNREADABLE"),
    "tiff of 32 bits": (saved(portrait().convert("F"), "TIFF"), "IMAGE_UNREADABLE"),
    "icon": (saved(portrait().resize((64, 64)), "ICO"), "IMAGE_UNREADABLE"),
    "bomb of 900 megapixels": (png_header(30_000, 30_000), "IMAGE_TOO_LARGE"),
    "bomb just above the limit": (png_header(7_072, 7_072), "IMAGE_TOO_LARGE"),
    "bomb within the limit": (png_header(7_000, 7_000), "IMAGE_UNREADABLE"),
    "more than 20 MB": (saved(portrait(), "PNG") + b"\0" * 20_000_000, "IMAGE_TOO_LARGE"),
    "zero pixels wide": (png_header(0, 100), "IMAGE_UNREADABLE"),
    "14 pixels high": (saved(portrait().resize((200, 14)), "PNG"), "IMAGE_SHAPE_REFUSED"),
    "too long": (saved(portrait().resize((2000, 100)), "PNG"), "IMAGE_SHAPE_REFUSED"),
    "nobody in it": (saved(Image.new("RGB", (300, 300), "teal"), "PNG"), "NO_FACE_FOUND"),
}

#: What is unusual and works.
ACCEPTED: dict[str, bytes] = {
    "jpeg called png": saved(portrait(), "JPEG", quality=95),
    "cmyk": saved(portrait().convert("CMYK"), "JPEG", quality=95),
    "grey": saved(portrait().convert("L"), "PNG"),
    "grey with alpha": saved(portrait().convert("LA"), "PNG"),
    "grey of 16 bits": saved(
        portrait().convert("L").convert("I").point(lambda value: value * 257).convert("I;16"), "PNG"
    ),
    "palette": saved(portrait().quantize(200), "PNG"),
    "palette in a gif": saved(portrait().quantize(200), "GIF"),
    "alpha": saved(portrait().convert("RGBA"), "PNG"),
    "webp": saved(portrait(), "WEBP", quality=95),
    "bmp": saved(portrait(), "BMP"),
    "tiff": saved(portrait(), "TIFF"),
    "lying on its left side": rotated(6),
    "lying on its right side": rotated(8),
}
