"""Owns which address a client has: its own, or what one's proxies say of it."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

from beam.conf import conf, networks
from rooms.handshake import client_address

# What one household or machine is given: an address of it is no limit.
IPV6_PREFIX = 64


def client_of(peer: str, forwarded: str) -> str:
    """The client's address. `forwarded`: `X-Forwarded-For`, empty where missing.

    Only proxies are believed: `trusted_proxies` of them, at `proxy_networks`.
    """
    proxies = conf().trusted_proxies
    trusted = networks(conf().proxy_networks)
    if not proxies or (trusted and not is_in(peer, conf().proxy_networks)):
        return peer
    return client_address(peer, forwarded, proxies)


def is_in(address: str, text: str) -> bool:
    """Whether an address is in one of the networks of a setting."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks(text))


def counted_as(address: str) -> str:
    """What `max_ip_connections` counts: an IPv6 address by its network."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return str(ip_network((found, IPV6_PREFIX), strict=False))
    return address
