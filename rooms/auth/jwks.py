"""Fetches and caches the public keys of an identity provider (JWKS).

Keys are cached for `jwks_seconds`. An unknown key id causes a new fetch, at most
once in `jwks_retry` seconds. If a fetch fails, or returns no usable key, the keys
of the last one stay in use. Without any key it is repeated after 1, 2, 4 seconds
and so on, up to `jwks_retry`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

import httpx

from beam.config.conf import conf
from beam.config.public_keys import BadKey, PublicKey, from_jwk
from beam.telemetry import metrics
from rooms.auth import http_client
from rooms.auth.failure_texts import BadAnswer, host, kind

logger = logging.getLogger(__name__)

FIRST_RETRY: Final = 1.0
# 2 to this power is longer than the longest `jwks_retry`.
MAX_DOUBLINGS: Final = 17
UNREACHABLE: Final = (httpx.HTTPError, httpx.InvalidURL, OSError, BadAnswer)


class ProviderUnavailable(Exception):
    """No key of the provider is known yet: its tokens cannot be verified."""


class Jwks:
    """The keys at one URL. `clock`: monotonic seconds."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        self._keys: list[PublicKey] = []
        self._fetched = -1e9
        self._next_fetch = -1e9
        self._failures = 0
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str | None) -> list[PublicKey]:
        """The keys that may verify a token with this key id; None: all keys.

        Keys without an id are always included. Raises
        `ProviderUnavailable`.
        """
        is_old = self._clock() - self._fetched > conf().jwks_seconds
        if is_old or not self._knows(kid):
            await self._refresh()
        if not self._keys:
            raise ProviderUnavailable
        return [key for key in self._keys if kid is None or key.kid in (kid, None)]

    def _knows(self, kid: str | None) -> bool:
        """Whether the keys need not be fetched again for this key id.

        This includes the case that none of the provider's keys has an id.
        """
        known = {key.kid for key in self._keys}
        return bool(known) and (kid is None or kid in known or known == {None})

    async def _refresh(self) -> None:
        """Fetch, once for all callers that wait, unless it is too early."""
        if self._fetching is None or self._fetching.done():
            if self._clock() < self._next_fetch:
                return
            self._fetching = asyncio.ensure_future(self._fetch())
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        seconds = conf().backend_timeout
        try:
            async with httpx.AsyncClient(timeout=seconds) as client:
                text = await http_client.fetch(client, self._url, seconds)
            keys = _keys_of(text)
        except UNREACHABLE as error:
            self._failed(error)
        else:
            self._succeeded(keys)

    def _failed(self, error: Exception) -> None:
        metrics.JWKS_FAILED.value += 1
        if not self._failures:
            url, why = host(self._url), kind(error)
            logger.error("The JWKS of %s cannot be fetched: %s", url, why)
        doublings = min(self._failures, MAX_DOUBLINGS)
        pause = conf().jwks_retry
        if not self._keys:
            pause = min(pause, FIRST_RETRY * 2**doublings)
        self._failures += 1
        self._next_fetch = self._clock() + pause

    def _succeeded(self, keys: list[PublicKey]) -> None:
        if self._failures:
            logger.info("The JWKS of %s is available again", host(self._url))
        self._failures = 0
        self._keys, self._fetched = keys, self._clock()
        self._next_fetch = self._fetched + conf().jwks_retry


def _keys_of(text: bytes) -> list[PublicKey]:
    """The usable keys of a JWKS. Raises `BadAnswer`."""
    found = http_client.json_of(text)
    listed = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise BadAnswer("its answer is not a JWKS: an object with a list `keys`")
    keys = [key for each in listed if (key := _usable(each)) is not None]
    if not keys:
        raise BadAnswer("its JWKS has no key that can verify a token")
    return keys


def _usable(described: object) -> PublicKey | None:
    """A key that verifies signatures; None for other uses and unknown kinds."""
    try:
        return from_jwk(described)
    except BadKey:
        return None
