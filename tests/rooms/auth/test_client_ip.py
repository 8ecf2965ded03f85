"""The client IP: the peer, or what trusted proxies report."""

from __future__ import annotations

import pytest
from pytest_django.fixtures import Settings

from rooms.auth.client_ip import client_ip, counted_ip, forwarded_ip


@pytest.mark.parametrize(
    ("forwarded", "proxies", "address"),
    [
        ("", 0, "peer"),
        ("1.1.1.1", 0, "peer"),
        ("", 1, "peer"),
        ("1.1.1.1", 1, "1.1.1.1"),
        ("made up, 1.1.1.1", 1, "1.1.1.1"),
        ("made up, 1.1.1.1, proxy", 2, "1.1.1.1"),
        ("1.1.1.1", 2, "peer"),
        ("1.1.1.1:4711", 1, "1.1.1.1"),
        ("[2001:db8::1]:4711", 1, "2001:db8::1"),
        ("2001:db8::1", 1, "2001:db8::1"),
    ],
)
def test_the_client_ip_is_that_of_a_trusted_entry(
    forwarded: str, proxies: int, address: str
) -> None:
    assert forwarded_ip("peer", forwarded, proxies) == address


@pytest.mark.parametrize(
    ("peer", "networks", "address"),
    [
        ("10.0.0.1", "", "1.1.1.1"),
        ("10.0.0.1", "10.0.0.0/8", "1.1.1.1"),
        ("6.6.6.6", "10.0.0.0/8", "6.6.6.6"),
        ("no address", "10.0.0.0/8", "no address"),
        # As a dual-stack socket writes them.
        ("::ffff:10.0.0.1", "10.0.0.0/8", "1.1.1.1"),
        ("::ffff:6.6.6.6", "10.0.0.0/8", "6.6.6.6"),
    ],
)
def test_only_proxies_are_trusted(
    settings: Settings, peer: str, networks: str, address: str
) -> None:
    settings.BEAM = settings.BEAM | {"trusted_proxies": 1, "proxy_networks": networks}

    assert client_ip(peer, "1.1.1.1") == address


def test_an_ipv4_client_keeps_its_ipv4_address(settings: Settings) -> None:
    assert client_ip("::ffff:198.51.100.7", "") == "198.51.100.7"

    settings.BEAM = settings.BEAM | {"trusted_proxies": 1}
    assert client_ip("10.0.0.1", "::ffff:198.51.100.7") == "198.51.100.7"
    assert client_ip("10.0.0.1", "2001:db8::7") == "2001:db8::7"


def test_addresses_of_one_network_are_counted_together() -> None:
    assert counted_ip("2001:db8:1:2::3") == counted_ip("2001:db8:1:2:ffff::4")
    assert counted_ip("2001:db8:1:2::3") != counted_ip("2001:db8:1:3::3")
    assert counted_ip("10.0.0.1") == "10.0.0.1"
    assert counted_ip("::ffff:10.0.0.1") == "10.0.0.1"
    assert counted_ip("a socket") == "a socket"
