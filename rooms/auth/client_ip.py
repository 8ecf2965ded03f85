"""Determines the client IP: that of the peer, or the one that proxies report."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from beam.config.conf import conf, networks

# What one household or machine gets: a client can use any address in it.
IPV6_PREFIX = 64


def client_ip(peer: str, forwarded: str) -> str:
    """The client IP. `forwarded`: `X-Forwarded-For`, empty if missing.

    Only `trusted_proxies` proxies are trusted, if they are in `proxy_networks`.
    """
    proxies = conf().trusted_proxies
    trusted = networks(conf().proxy_networks)
    if proxies and (not trusted or is_in_networks(peer, conf().proxy_networks)):
        peer = forwarded_ip(peer, forwarded, proxies)
    found = _parse(peer)
    return peer if found is None else str(found)


def forwarded_ip(peer: str, forwarded: str, proxies: int) -> str:
    """The IP of a client behind so many trusted proxies.

    `forwarded`: `X-Forwarded-For`, to which each proxy appends the IP of its peer.
    Entries before those of the trusted proxies may be forged by the client.
    """
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    if not 0 < proxies <= len(hops):
        return peer
    return _without_port(hops[-proxies])


def _without_port(hop: str) -> str:
    """The IP of `1.2.3.4:80` or `[::1]:80`, as some proxies write it."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def is_in_networks(address: str, text: str) -> bool:
    """Whether an IP is in one of the networks of a setting."""
    found = _parse(address)
    return found is not None and any(found in network for network in networks(text))


def counted_ip(address: str) -> str:
    """What `max_ip_connections` counts: an IPv6 address counts as its /64 network."""
    found = _parse(address)
    if isinstance(found, IPv6Address):
        return str(ip_network((found, IPV6_PREFIX), strict=False))
    return address if found is None else str(found)


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    """The IP; None if the text is not an IP.

    On a dual-stack socket an IPv4 client is `::ffff:1.2.3.4`: this is 1.2.3.4.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
