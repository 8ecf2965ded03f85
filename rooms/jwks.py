"""Owns the public keys of an identity provider: a JWKS URL, asked rarely.

Keys are kept for `jwks_seconds`. An unknown key id asks anew, at most once in
`jwks_retry` seconds; while the provider is away, or publishes no key that can be
used, the keys it had stay good.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

import httpx

from beam.conf import conf
from beam.public_keys import BadKey, PublicKey, from_jwk
from rooms.failures import host, kind

logger = logging.getLogger(__name__)

# The last for JSON that is nested too deep.
AWAY: Final = (
    httpx.HTTPError,
    httpx.InvalidURL,
    ValueError,
    KeyError,
    TypeError,
    RecursionError,
)


class ProviderAway(Exception):
    """The provider has published no key yet: no token of its can be judged."""


class NoUsableKey(ValueError):
    """A slip of the provider's, which must not lock everybody out."""


class Jwks:
    """The keys behind one URL."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: list[PublicKey] = []
        self._fetched = self._asked = -1e9
        self._fetching: asyncio.Task[None] | None = None
        self._reachable = True

    async def find(self, kid: str | None) -> list[PublicKey]:
        """The keys that a token with this key id may be signed with.

        None: all of them. A key without an id is among them always. Raises
        `ProviderAway`.
        """
        now = time.monotonic()
        if now - self._fetched > conf().jwks_seconds or not self._knows(kid):
            await self._refresh(now)
        if not self._keys:
            raise ProviderAway
        return [key for key in self._keys if kid is None or key.kid in (kid, None)]

    def _knows(self, kid: str | None) -> bool:
        """Whether there is no reason to ask anew for a key with this id.

        A provider that gives its keys no ids is not asked for one.
        """
        known = {key.kid for key in self._keys}
        return bool(known) and (kid is None or kid in known or known == {None})

    async def _refresh(self, now: float) -> None:
        """Ask, once for all who wait, and not too often."""
        if self._fetching is None or self._fetching.done():
            if now - self._asked < conf().jwks_retry:
                return
            self._asked = now
            self._fetching = asyncio.ensure_future(self._fetch())
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        try:
            async with httpx.AsyncClient(timeout=conf().backend_timeout) as client:
                answer = await client.get(self._url)
            answer.raise_for_status()
            found = answer.json()["keys"]
            keys = [key for each in found if (key := _usable(each)) is not None]
            if not keys:
                raise NoUsableKey
        except AWAY as error:
            self._log(reachable=False, error=error)
            return
        self._log(reachable=True)
        self._keys, self._fetched = keys, time.monotonic()

    def _log(self, *, reachable: bool, error: Exception | None = None) -> None:
        """One line a change."""
        if reachable != self._reachable:
            if reachable:
                logger.info("The JWKS of %s are there again", host(self._url))
            else:
                logger.error("No JWKS of %s: %s", host(self._url), kind(error))
        self._reachable = reachable


def _usable(described: object) -> PublicKey | None:
    """A key for signatures; None for any other, and for a kind we do not know."""
    try:
        return from_jwk(described)
    except BadKey:
        return None
