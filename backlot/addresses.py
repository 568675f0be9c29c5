"""Which network addresses an image may be fetched from: pure decisions, no sockets."""

import ipaddress
import socket

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

#: IPv4 inside IPv6 in ways that `ipaddress` does not unpack: NAT64 (RFC 6052, RFC 8215) and IPv4-compatible (RFC 4291).
_NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")
_EMBEDDING = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))

#: Ranges that some Python versions call global although nothing public answers there (IANA special-purpose registries,
#: read 2026-11-20): 6to4 relays, benchmarking, documentation, SRv6 and the discard prefix, deprecated site-local.
_NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "240.0.0.0/4",
        "100::/64",
        "2001::/23",
        "3fff::/20",
        "5f00::/16",
        "fec0::/10",
    )
)


def literal_address(host: str) -> IPAddress | None:
    """Read a host as an address, in every notation that a resolver would accept.

    Those are `127.1`, `0x7f000001`, `[::1]` and the like, also with the dot that ends an absolute name: `127.0.0.1.`.

    Args:
        host: a URL's host, without port; IPv6 with or without brackets.

    Returns:
        The address, or None if the host is a name.
    """
    bare = host.removeprefix("[").removesuffix("]").split("%", 1)[0].rstrip(".")
    try:
        return ipaddress.ip_address(bare)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(bare))
    except OSError:
        return None


def is_public(address: IPAddress) -> bool:
    """Tell whether an address, and every IPv4 address embedded in it, belongs to the public Internet.

    Private, loopback, link-local (cloud metadata among it), shared, multicast, documentation and reserved ranges do
    not.
    """
    if any(address in network for network in _NEVER if network.version == address.version):
        return False
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64_LOCAL:
            return False
        return all(is_public(inner) for inner in _embedded(address))
    return True


def _embedded(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _EMBEDDING):
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [each for each in inner if each is not None]
