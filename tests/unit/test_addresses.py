"""Which addresses are public, in whatever way they are written."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backlot.addresses import is_public, literal_address

#: 127.0.0.1 as resolvers accept it.
LOOPBACK = ["127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001"]

PRIVATE = [
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.0",
    "169.254.169.254",
    "169.254.255.255",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.0",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.0",
    "192.168.255.255",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.0",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.255",
    "::",
    "::1",
    "100::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]

#: The public neighbours of the ranges above.
PUBLIC = [
    "1.0.0.0",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2600::1",
    "2606:4700::1111",
]

#: How an IPv4 address travels inside an IPv6 one.
EMBEDDINGS = {
    "IPv4-mapped": lambda ipv4: ipaddress.IPv6Address((0xFFFF << 32) | int(ipv4)),
    "IPv4-compatible": lambda ipv4: ipaddress.IPv6Address(int(ipv4)),
    "NAT64": lambda ipv4: ipaddress.IPv6Address((0x64FF9B << 96) | int(ipv4)),
    "NAT64 of a network's own": lambda ipv4: ipaddress.IPv6Address((0x64FF9B0001 << 80) | int(ipv4)),
    "6to4": lambda ipv4: ipaddress.IPv6Address((0x2002 << 112) | (int(ipv4) << 80)),
    "Teredo": lambda ipv4: ipaddress.IPv6Address((0x20010000 << 96) | (int(ipv4) ^ 0xFFFFFFFF)),
}

ipv4_addresses = st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address)


@pytest.mark.parametrize("text", LOOPBACK)
@pytest.mark.parametrize("dots", ["", ".", ".."])
def test_literal_address_in_any_notation_is_read(text, dots):
    assert literal_address(text + dots) == ipaddress.IPv4Address("127.0.0.1")


@pytest.mark.parametrize("text", ["::1", "[::1]", "[::1%25eth0]", "0:0:0:0:0:0:0:1"])
def test_literal_address_of_ipv6_is_read_with_and_without_brackets(text):
    assert literal_address(text) == ipaddress.IPv6Address("::1")


@pytest.mark.parametrize("host", ["example.com", "127.0.0.1.example.com", "a.1", "", ".", "1.2.3.4.5", "256.0.0.1"])
def test_literal_address_of_a_name_is_none(host):
    assert literal_address(host) is None


@given(ipv4_addresses)
def test_literal_address_is_the_same_in_decimal_hexadecimal_and_octal(address):
    notations = (str(int(address)), hex(int(address)), f"0{int(address):o}", str(address))
    assert {literal_address(text) for text in notations} == {address}


@pytest.mark.parametrize("text", PRIVATE)
def test_is_public_of_a_special_range_is_false(text):
    assert is_public(ipaddress.ip_address(text)) is False


@pytest.mark.parametrize("text", PUBLIC)
def test_is_public_just_outside_a_special_range_is_true(text):
    assert is_public(ipaddress.ip_address(text)) is True


@pytest.mark.parametrize("text", [text for text in PRIVATE if ":" not in text])
@pytest.mark.parametrize("embedding", EMBEDDINGS)
def test_is_public_of_an_embedded_private_address_is_false(embedding, text):
    assert is_public(EMBEDDINGS[embedding](ipaddress.IPv4Address(text))) is False


@given(ipv4_addresses, st.sampled_from(sorted(EMBEDDINGS)))
def test_is_public_of_an_embedded_address_is_never_more_than_the_address(address, embedding):
    assert is_public(EMBEDDINGS[embedding](address)) <= is_public(address)
