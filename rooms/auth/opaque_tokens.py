"""Verifies opaque tokens: the backend decodes them (`decode_token`)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from hashlib import sha256
from typing import Final
from weakref import WeakKeyDictionary

import httpx

from beam.config.conf import conf
from beam.telemetry import metrics
from rooms.auth import http_client
from rooms.auth.circuit_breaker import CircuitBreaker
from rooms.auth.failure_texts import BadAnswer, kind
from rooms.auth.grants import BackendUnavailable, Identity, RoomGrant, id_of
from rooms.protocol.json_types import json_type

logger = logging.getLogger(__name__)

# What a proxy answers if the backend is unreachable or overloaded.
UNAVAILABLE: Final = frozenset({429, 502, 503, 504})


class BackendVerifier:
    """Verifies opaque tokens: the backend decodes them (`decode_token`).

    Ids are cached for `backend_cache_seconds`, by the hash of the token. After
    `backend_failures` failures in a row, calls fail at once for `backend_pause`.
    """

    MAX_CACHED = 10_000

    def __init__(self) -> None:
        self._clients: WeakKeyDictionary[
            asyncio.AbstractEventLoop, httpx.AsyncClient
        ] = WeakKeyDictionary()
        self._cache: OrderedDict[bytes, tuple[float, str]] = OrderedDict()
        self._reachable = True
        self._breaker = CircuitBreaker(conf().backend_failures, conf().backend_pause)

    async def user(self, token: str) -> Identity:
        return Identity(await self._decode("user", token))

    async def room(self, token: str) -> RoomGrant:
        return RoomGrant(await self._decode("room", token))

    async def _decode(self, kind: str, token: str) -> str:
        key = sha256(f"{kind}:{token}".encode(errors="surrogatepass")).digest()
        until, known = self._cache.get(key, (0.0, ""))
        if time.monotonic() < until:
            return known
        value = id_of(await self._decode_remotely(kind, token))
        self._cache[key] = (time.monotonic() + conf().backend_cache_seconds, value)
        self._cache.move_to_end(key)
        if len(self._cache) > self.MAX_CACHED:
            self._cache.popitem(last=False)
        return value

    async def _decode_remotely(self, kind: str, token: str) -> object:
        """The id in the token; None: it is refused. Raises `BackendUnavailable`."""
        if not self._breaker.allows(time.monotonic()):
            metrics.DECODES_SKIPPED.value += 1
            raise BackendUnavailable
        try:
            found = _data_of(await self._post(kind, token))
        except (httpx.HTTPError, OSError, BadAnswer) as error:
            self._failed(error)
            raise BackendUnavailable from None
        self._breaker.succeeded()
        self._log_state(reachable=True)
        return found.get(f"{kind}_id") if isinstance(found, dict) else None

    async def _post(self, kind: str, token: str) -> bytes:
        client = self._client()
        request = client.build_request(
            "POST",
            f"{conf().backend_url.rstrip('/')}/api/v1/private/decode_token",
            json={"type": kind, "token": token},
            headers={"oorja-secret": conf().api_secrets[0]},
        )
        return await http_client.send(client, request, conf().backend_timeout)

    def _failed(self, error: Exception) -> None:
        """Count a failure. An answer that cannot be used does not open the breaker."""
        metrics.DECODES_FAILED.value += 1
        self._log_state(reachable=False, error=error)
        status = isinstance(error, httpx.HTTPStatusError) and error.response.status_code
        if isinstance(error, BadAnswer) or (status and status not in UNAVAILABLE):
            self._breaker.succeeded()
        else:
            self._breaker.failed(time.monotonic())

    def _client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients[loop] = httpx.AsyncClient(timeout=conf().backend_timeout)
        return self._clients[loop]

    async def close(self) -> None:
        """Close the HTTP client of the running event loop, if there is one."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def _log_state(self, *, reachable: bool, error: Exception | None = None) -> None:
        """Log a change of the state, not every request."""
        if reachable != self._reachable:
            if reachable:
                logger.info("The backend decodes tokens again")
            else:
                # The text of the error may contain parts of the request.
                logger.error("The backend cannot decode tokens: %s", kind(error))
        self._reachable = reachable


def _data_of(text: bytes) -> object:
    """`data` of an answer. Raises `BadAnswer`."""
    found = http_client.json_of(text)
    if not isinstance(found, dict):
        raise BadAnswer(f"its answer is {json_type(found)}, not an object with `data`")
    return found.get("data")
