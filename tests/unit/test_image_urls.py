"""Which URLs may name an image, by their text alone."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backlot.errors import ImageUrlRefused
from backlot.image_urls import MAX_KEY_BYTES, MAX_URL_CHARS, ImageUrlPolicy

CDN = "https://cdn.example.com"
POLICY = ImageUrlPolicy.of("assets", CDN, "localhost:8080,10.0.0.5:80,")


def refusal(url: str, policy: ImageUrlPolicy = POLICY) -> str:
    with pytest.raises(ImageUrlRefused) as caught:
        policy.check(url)
    return str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://images.example.com/a.jpg",
        "HTTPS://Images.Example.Com:8443/a.jpg?x=1#y",
        "https://8.8.8.8/a.jpg",
        "https://[2606:4700::1111]/a.jpg",
        "https://localhost.example.com/a.jpg",
        "https://bücher.example/ä.jpg",
        "https://images.example.com./a.jpg",
        "s3://assets/uploads/a.jpg",
        "s3://assets/images/face_swap/a.png",
        f"{CDN}/seedream/a.jpg?version=2",
        "http://localhost:8080/a.jpg",
        "http://10.0.0.5/a.jpg",
    ],
)
def test_url_that_may_be_fetched_is_allowed(url):
    POLICY.check(url)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "10.0.0.5",
        "169.254.169.254",
        "169.254.169.254.",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "[64:ff9b::a9fe:a9fe]",
        "[fd00:ec2::254]",
    ],
)
def test_url_of_an_address_that_is_not_public_is_refused(host):
    assert "is not a public address" in refusal(f"https://{host}/a.jpg")


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST.",
        "app.localhost",
        "localhost.localdomain",
        "localdomain",
        "printer.localdomain.",
        "printer",
        "nas.local",
        "db.internal",
        "wiki.intranet",
        "router.lan",
        "router.home.arpa",
        "metadata.google.internal",
    ],
)
def test_url_of_a_local_name_is_refused(host):
    assert "is a local name" in refusal(f"https://{host}/a.jpg")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "0 characters"),
        ("https://a.example/ b", "a space, a control character or a backslash"),
        ("https://a.example/\n", "a space, a control character or a backslash"),
        ("https://a.example\\@10.0.0.1/", "a space, a control character or a backslash"),
        ("https://a.example:99999/", "not a well-formed URL"),
        ("https://[::1/", "not a well-formed URL"),
        ("a.jpg", "the scheme '' is not https or s3"),
        ("file:///etc/passwd", "the scheme 'file' is not https or s3"),
        ("https:///a.jpg", "it names no host"),
        ("https://user@a.example/", "a user name or password"),
        ("https://:secret@a.example/", "a user name or password"),
        ("http://a.example/", "plain http is not allowed"),
        ("http://localhost:8081/", "plain http is not allowed"),
        ("https://localhost:8443/", "is a local name"),
        ("s3://foreign/uploads/a.jpg", "only s3://assets/ can be read"),
        ("s3://assets", "only s3://assets/ can be read"),
        ("s3://assets/private/a.jpg", "keys of this bucket begin with"),
        ("s3://assets/", "keys of this bucket begin with"),
        ("s3://assets/images/../private/a.jpg", "a '..' segment"),
        ("s3://assets/images/%2e%2e/private/a.jpg", "a '..' segment"),
        (f"{CDN}/uploads/%2E%2E/a.jpg", "a '..' segment"),
        (f"{CDN}/private/a.jpg", "keys of this bucket begin with"),
        ("s3://assets/images/%00.jpg", "no control characters"),
        ("s3://assets/images/a%0Ab.jpg", "no control characters"),
    ],
)
def test_url_that_must_not_be_fetched_is_refused_with_its_reason(url, reason):
    assert reason in refusal(url)


def test_url_has_its_longest_length():
    longest = "https://a.example/".ljust(MAX_URL_CHARS, "x")
    POLICY.check(longest)
    assert str(MAX_URL_CHARS) in refusal(longest + "x")


@pytest.mark.parametrize("letter", ["x", "%C3%A4"])
def test_key_has_the_longest_length_that_the_store_takes(letter):
    letter_bytes = 2 if "%" in letter else 1
    room = (MAX_KEY_BYTES - len("uploads/")) // letter_bytes
    POLICY.check("s3://assets/uploads/" + letter * room)
    assert str(MAX_KEY_BYTES) in refusal("s3://assets/uploads/" + letter * (room + 1))


def test_policy_without_a_bucket_reads_no_bucket():
    assert "can be read" in refusal("s3://assets/uploads/a.jpg", ImageUrlPolicy())


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("s3://assets/uploads/a%20b.jpg", "uploads/a b.jpg"),
        (f"{CDN}/seedream/a.jpg?x=1", "seedream/a.jpg"),
        (f"{CDN}/seedream/a%2Bb.jpg#part", "seedream/a+b.jpg"),
        ("s3://foreign/uploads/a.jpg", None),
        ("https://cdn.example.com.evil.example/seedream/a.jpg", None),
        ("https://images.example.com/seedream/a.jpg", None),
    ],
)
def test_own_key_of_a_url_is_that_of_our_bucket_or_none(url, key):
    assert POLICY.own_key(url) == key


def test_own_key_below_a_cdn_with_a_path_leaves_the_path_out():
    policy = ImageUrlPolicy("assets", "http://localhost:8080/cdn")
    assert policy.own_key("http://localhost:8080/cdn/images/a.png") == "images/a.png"


@given(st.text(min_size=1, max_size=40).filter(lambda text: ".." not in text))
def test_own_key_of_the_url_of_a_key_is_the_key(name):
    assert POLICY.own_key(POLICY.url(f"images/{name}")) == f"images/{name}"


@given(st.text(max_size=60))
def test_check_of_any_text_allows_or_refuses(text):
    for url in (text, f"https://{text}", f"s3://assets/{text}", f"https://{text}.example/{text}"):
        with suppress(ImageUrlRefused):
            POLICY.check(url)
            assert url.lower().startswith(("https://", "s3://assets/"))
