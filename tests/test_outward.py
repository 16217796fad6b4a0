"""Addresses that a stranger chose: what may be typed, and where a name may lead."""

from __future__ import annotations

import ipaddress

import pytest

from unlatch.errors import BadInput
from unlatch.outward import (
    MOST_ADDRESSES,
    AddressRefused,
    check_camera_address,
    check_hub_address,
    choose_hosts,
    is_allowed,
)

GOOD = {
    "https://home.example:8123": "https://home.example:8123",
    "https://Home.Example/": "https://home.example",
    "https://93.184.216.34": "https://93.184.216.34",
    "https://[2606:2800:220:1:248:1893:25c8:1946]:8123": "https://[2606:2800:220:1:248:1893:25c8:1946]:8123",
    "https://home.example/ha/": "https://home.example/ha",
}


@pytest.mark.parametrize("text", GOOD)
def test_an_address_of_the_public_internet(text: str) -> None:
    assert check_hub_address(text, allows_private=False) == GOOD[text]


NEVER = [
    "", "home.example", "ftp://home.example", "http://home.example", "https://", "https://user:word@home.example",
    "https://home.example?x=y", "https://home.example#x", "https://home.example:0", "https://home.example:99999",
    "https://home example", "https://höme.example", "https://home.example\\@10.0.0.1", "https://home.example/../x",
    "https://" + "x" * 300, "https://a..b", "https://127.1", "https://0x7f000001", "https://2130706433",
    "https://0177.0.0.1", "https://[fe80::1%25eth0]", "https://home.example\r\nx: y", "https://x.1",
    "https://169.254.169.254", "https://[fd00:ec2::254]", "https://100.100.100.200", "https://0.0.0.0",
    "https://[::]", "https://224.0.0.1", "https://[fe80::1]", "https://[::ffff:169.254.169.254]",
    "https://255.255.255.255", "https://[64:ff9b::a9fe:a9fe]", "https://[2002:a9fe:a9fe::1]", "https://[ff02::1]",
    "http://192.168.1.2", "https://192.0.2.1", "https://198.18.0.1", "https://[2001:db8::1]",
    "https://[2001:0:53aa:64c::1]", "https://[64:ff9b:1::1]", "https://[fec0::1]", "https://240.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("text", NEVER)
@pytest.mark.parametrize("allows_private", [False, True])
def test_no_address_of_a_hub(text: str, allows_private: bool) -> None:
    with pytest.raises(BadInput) as caught:
        check_hub_address(text, allows_private=allows_private)
    assert caught.value.field == "address"


ONLY_AT_HOME = [
    "https://192.168.1.2:8123", "https://10.1.2.3", "https://172.16.0.9", "https://[fd12::1]", "https://100.64.1.1",
    "http://127.0.0.1:8123", "https://127.0.0.1", "http://[::1]:8123", "http://localhost:8123",
    "https://[::ffff:192.168.1.2]",
]  # fmt: skip


@pytest.mark.parametrize("text", ONLY_AT_HOME)
def test_a_private_address_needs_the_setting(text: str) -> None:
    assert check_hub_address(text, allows_private=True) == text
    with pytest.raises(BadInput):
        check_hub_address(text, allows_private=False)


def test_every_address_of_the_link_local_networks_is_refused() -> None:
    for text in ("169.254.0.0", "169.254.170.2", "169.254.255.255", "fe80::", "febf::ffff"):
        assert not is_allowed(ipaddress.ip_address(text), allows_private=True)


def test_of_a_name_every_address_must_be_allowed() -> None:
    inside: list[list[str]] = [
        ["10.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["::1"], ["169.254.169.254"], [], ["nonsense"], ["fe80::1%eth0"],
    ]  # fmt: skip
    for found in inside:
        with pytest.raises(AddressRefused):
            choose_hosts(found, allows_private=False)
    assert choose_hosts(["10.0.0.1", "10.0.0.1", "127.0.0.1"], allows_private=True) == (
        "10.0.0.1",
        "127.0.0.1",
    )
    many = [f"93.184.216.{number}" for number in range(9)]
    assert choose_hosts(many, allows_private=False) == tuple(many[:MOST_ADDRESSES])


def test_a_hubs_camera_is_reached_by_https_as_its_lock_is() -> None:
    schemes = ("https", "http")
    assert check_camera_address("https://home.example:8123", schemes, allows_private=False)
    assert check_camera_address("http://localhost:8123", schemes, allows_private=True)
    for text in ("http://home.example", "http://192.168.1.2", "rtsp://home.example"):
        with pytest.raises(BadInput):
            check_camera_address(text, schemes, allows_private=True)
