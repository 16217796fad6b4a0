"""Addresses that a stranger chose, and where we may knock because of them (SSRF).

A consignee types the address of the hub in their home; makers of locks (devices/hubs.py) and of cameras
(cameras/hub_line.py) go there with its token. So that nobody can make us knock at doors of our own house:

| an address | may be used |
|---|---|
| of the public internet, by https | always |
| of this machine (loopback), by http or https | only with the setting UNLATCH_PRIVATE_HUBS |
| of a private network, by https | only with that setting |
| link-local, where clouds keep their machines' secrets (169.254.169.254 and its like), multicast, reserved | never |

A name is resolved by us; every address that it has must be allowed, and the connection goes to exactly that address: a
name that changes its mind between the check and the connection gains nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit, urlunsplit

from unlatch.errors import BadInput

MOST_ADDRESSES = 4  # of one name, that are tried
LONGEST_ADDRESS = 200
LONGEST_CAMERA_ADDRESS = 2048

# Where machines of clouds are told their secrets, though they look like addresses of a private network.
METADATA = frozenset(map(ipaddress.ip_address, ("169.254.169.254", "100.100.100.200", "fd00:ec2::254")))
TRANSLATED = ipaddress.ip_network("64:ff9b::/96")  # NAT64: an IPv4 address in the last four bytes
TRANSLATED_HERE = ipaddress.ip_network(
    "64:ff9b:1::/48"
)  # RFC 8215: translated by a rule that only its network knows
SHARED = ipaddress.ip_network(
    "100.64.0.0/10"
)  # RFC 6598: between a provider and its customers; also Tailscale
INNER = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressRefused(OSError):
    """A name leads where no hub and no camera may be."""


def check_hub_address(text: str, *, allows_private: bool) -> str:
    """The address as it is kept: "https://host[:port][/prefix]". Raises BadInput; asks no name server."""
    remedy = "give the address of the hub, like https://home.example:8123"
    if len(text) > LONGEST_ADDRESS or not text.isascii() or not text.isprintable() or " " in text:
        raise BadInput("address", remedy)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise BadInput("address", remedy) from None
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise BadInput("address", remedy)
    if "@" in parts.netloc or port == 0 or "%" in host or "\\" in text or ".." in parts.path:
        raise BadInput("address", remedy)
    given = find_literal(host)
    if given is None and not _is_name(host):
        raise BadInput("address", remedy)
    if given is not None and not is_allowed(given, allows_private=allows_private):
        raise BadInput("address", "this network address may not be used")
    is_own_machine = host == "localhost" or (given is not None and given.is_loopback)
    if is_own_machine and not allows_private:
        raise BadInput("address", "a hub on this machine needs the setting UNLATCH_PRIVATE_HUBS")
    if parts.scheme == "http" and not is_own_machine:
        raise BadInput("address", "give an address by https: the token must not travel in the open")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def check_camera_address(text: str, schemes: Sequence[str], *, allows_private: bool) -> str:
    """The address of a camera's stream as it is kept. `schemes`: those of its maker, the best first. Raises BadInput.

    Cameras speak in the open, most of them: what they send is safe on the way only within a network of one's own, or
    where they speak TLS. User and password are no part of the address.
    """
    remedy = f"give the address of its stream, like {schemes[0]}://camera.example/stream"
    if len(text) > LONGEST_CAMERA_ADDRESS or not text.isascii() or not text.isprintable() or " " in text:
        raise BadInput("address", remedy)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise BadInput("address", remedy) from None
    host = parts.hostname or ""
    if parts.scheme not in schemes or not host or port == 0 or parts.fragment or "%" in host or "\\" in text:
        raise BadInput("address", remedy)
    if "@" in parts.netloc:
        raise BadInput("address", "give user and password as secrets of their own")
    given = find_literal(host)
    if given is None and not _is_name(host):
        raise BadInput("address", remedy)
    is_own_machine = host == "localhost" or (given is not None and given.is_loopback)
    if is_own_machine and not allows_private:
        raise BadInput("address", "a camera on this machine needs the setting UNLATCH_PRIVATE_HUBS")
    if given is not None and not is_allowed(given, allows_private=allows_private):
        raise BadInput("address", "this network address may not be used")
    if parts.scheme == "http" and not is_own_machine:  # a hub's, to which its token goes along
        raise BadInput("address", "give an address by https: the token must not travel in the open")
    return urlunsplit(parts._replace(netloc=parts.netloc.lower()))


def is_allowed(address: Address, *, allows_private: bool) -> bool:
    """Whether a hub or a camera may be there. Addresses that carry another one within are judged by that one."""
    if isinstance(address, ipaddress.IPv6Address):
        if (inner := _find_inner(address)) is not None:
            return is_allowed(inner, allows_private=allows_private)
        if address.teredo is not None or address.is_site_local or address in TRANSLATED_HERE:
            return False
    if address in METADATA or address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    if address.is_global:
        return True
    if address.is_loopback:
        return allows_private
    # RFC 1918 and RFC 4193 are what homes use; the rest of "private" is for documents, benchmarks and tests.
    return allows_private and any(
        address.version == network.version and address in network for network in (*INNER, SHARED)
    )


def _find_inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def find_literal(host: str) -> Address | None:
    """The address that is written there by its numbers; None: a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_name(host: str) -> bool:
    """A name of letters, digits and hyphens. The last label is no number: "127.1" and "0x7f000001" are addresses."""
    labels = host.rstrip(".").split(".")
    is_plain = all(
        0 < len(label) <= 63 and label.replace("-", "a").replace("_", "a").isalnum() for label in labels
    )
    return is_plain and not labels[-1][0].isdigit()


def choose_hosts(texts: Iterable[str], *, allows_private: bool) -> tuple[str, ...]:
    """The numeric addresses that a name has, in order, each of them allowed. Raises `AddressRefused`."""
    found = tuple(dict.fromkeys(texts))
    if not found:
        raise AddressRefused("the name has no address")
    for text in found:
        address = find_literal(text.partition("%")[0])
        if address is None or not is_allowed(address, allows_private=allows_private):
            raise AddressRefused("the name leads where no hub may be")
    return found[:MOST_ADDRESSES]
