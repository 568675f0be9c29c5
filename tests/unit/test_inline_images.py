"""Images inside requests: what is read, under which name, and what is refused."""

import base64
import hashlib

import pytest

from backlot.errors import ImageTooLarge, ImageUnreadable
from backlot.inline_images import InlineImages
from tests.unit.pictures import boasting_png, plain

PNG = plain()


def data_url(data: bytes, head: str = "data:image/png;base64,") -> str:
    return head + base64.b64encode(data).decode()


def test_image_is_kept_under_the_name_of_its_content():
    inline = InlineImages("assets")
    url = inline.keep(data_url(PNG))

    assert url == f"s3://assets/uploads/inline/{hashlib.sha256(PNG).hexdigest()[:40]}.png"
    assert inline.found == {url.removeprefix("s3://assets/"): ("image/png", PNG)}


def test_same_image_twice_is_kept_once():
    inline = InlineImages("assets")

    assert inline.keep(data_url(PNG)) == inline.keep(data_url(PNG))
    assert len(inline.found) == 1


def test_type_is_sniffed_and_not_believed():
    assert InlineImages("assets").keep(data_url(PNG, "data:image/jpeg;base64,")).endswith(".png")


@pytest.mark.parametrize("head", ["data:;base64,", "DATA:image/png;BASE64,", "data:image/png;charset=utf-8;base64,"])
def test_head_is_read_as_clients_write_it(head):
    assert InlineImages("assets").keep(data_url(PNG, head)).endswith(".png")


def test_line_breaks_inside_are_no_harm():
    whole = data_url(PNG)

    assert InlineImages("assets").keep(f"{whole[:60]}\r\n{whole[60:]}").endswith(".png")


@pytest.mark.parametrize(
    "url",
    ["data:", "data:image/png", "data:image/png,abc", "data:image/png;base64,!!", data_url(b"text"), data_url(b"")],
)
def test_what_is_no_image_is_refused_and_not_kept(url):
    inline = InlineImages("assets")

    with pytest.raises(ImageUnreadable):
        inline.keep(url)
    assert inline.found == {}


def test_image_of_too_many_pixels_is_refused():
    with pytest.raises(ImageTooLarge):
        InlineImages("assets").keep(data_url(boasting_png(10_000, 5_001)))
