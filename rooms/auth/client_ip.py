"""Owns which address a client has: its own, or what one's proxies say of it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from beam.config.conf import conf, networks

# What one household or machine is given: an address of it is no limit.
IPV6_PREFIX = 64


def client_ip(peer: str, forwarded: str) -> str:
    """The client's address. `forwarded`: `X-Forwarded-For`, empty where missing.

    Only proxies are believed: `trusted_proxies` of them, at `proxy_networks`.
    """
    proxies = conf().trusted_proxies
    trusted = networks(conf().proxy_networks)
    if proxies and (not trusted or is_in_networks(peer, conf().proxy_networks)):
        peer = forwarded_ip(peer, forwarded, proxies)
    found = _parse(peer)
    return peer if found is None else str(found)


def forwarded_ip(peer: str, forwarded: str, proxies: int) -> str:
    """The address of a client behind so many proxies of one's own.

    `forwarded`: `X-Forwarded-For`, to which each proxy adds who came to it. What
    stands before the places of the own proxies is the client's word, and not
    believed.
    """
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    if not 0 < proxies <= len(hops):
        return peer
    return _without_port(hops[-proxies])


def _without_port(hop: str) -> str:
    """`1.2.3.4:80` and `[::1]:80` as some proxies write them."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def is_in_networks(address: str, text: str) -> bool:
    """Whether an address is in one of the networks of a setting."""
    found = _parse(address)
    return found is not None and any(found in network for network in networks(text))


def counted_ip(address: str) -> str:
    """What `max_ip_connections` counts: an IPv6 address by its network."""
    found = _parse(address)
    if isinstance(found, IPv6Address):
        return str(ip_network((found, IPV6_PREFIX), strict=False))
    return address if found is None else str(found)


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    """The address; None for what is none.

    A socket for both kinds calls IPv4 clients `::ffff:1.2.3.4`: they are 1.2.3.4.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
