"""Creates, checks and revokes API keys, and records when they were used.

A key is `beam_` and 43 characters of base64url: 256 bits, which need no slow
hash. Processes cache the keys for `CACHE_SECONDS`, so a revoked key works at most
for that time. Last uses are written by `rooms.records.upkeep`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from channels.db import database_sync_to_async
from django.db import Error as DatabaseError
from django.db import OperationalError
from django.utils import timezone

from beam.database import SECONDS
from rooms.models import ApiKey

logger = logging.getLogger(__name__)

SCOPES: Final = ("events:write", "rooms:read", "rooms:manage", "metrics:read")
PREFIX: Final = "beam_"
CACHE_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 1.0


class UnknownScope(ValueError):
    """A scope is not one of `SCOPES`, or there is no scope."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller of the API. `name`: for logs and limits; `scopes`: what it may do."""

    name: str
    scopes: frozenset[str]


def create(name: str, scopes: Sequence[str] = SCOPES) -> str:
    """A new key, to be shown once. Raises the errors of `make`."""
    return make(name, scopes)[1]


def make(name: str, scopes: Sequence[str]) -> tuple[ApiKey, str]:
    """The row of a new key, and the key itself, to be shown once.

    Raises `UnknownScope`, and `IntegrityError` if the name was used before.
    """
    if not scopes:
        raise UnknownScope("an API key needs at least one scope")
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise UnknownScope(f"unknown scope: {', '.join(unknown)}")
    key = PREFIX + secrets.token_urlsafe(32)
    row = ApiKey.objects.create(
        name=name, hashed=_hash(key), scopes=sorted(set(scopes))
    )
    keyring.clear()
    return row, key


def revoke(name: str) -> bool:
    """Refuse a key from now on. Whether there was a key that was not revoked."""
    keys = ApiKey.objects.filter(name=name, revoked=None)
    revoked = keys.update(revoked=timezone.now()) > 0
    keyring.clear()
    return revoked


def _hash(key: str) -> str:
    return sha256(key.encode(errors="surrogatepass")).hexdigest()


class Keyring:
    """The keys that are not revoked, as this process has read them, and their uses.

    All keys are read at once, so unknown keys cause at most one query of the
    database in `RETRY_SECONDS`.
    """

    def __init__(self) -> None:
        self._known: dict[str, Caller] = {}
        self._read_at = self._read_started = -1e9
        self._reading: asyncio.Task[None] | None = None
        self._used: set[str] = set()

    async def find(self, key: str) -> Caller | None:
        """The caller with a key; None if the key is unknown or revoked.

        Keys are compared by hash, so the time that it takes reveals nothing of a key.
        Raises `django.db.Error` if the database is unavailable or does not answer
        in time and the key is not known; keys that were read stay valid.
        """
        hashed, now = _hash(key), time.monotonic()
        is_old = now - self._read_at > CACHE_SECONDS
        if (is_old or hashed not in self._known) and self._may_read(now):
            await self._refresh(now, hashed)
        caller = self._known.get(hashed)
        if caller is not None:
            # Written later, together with other uses, and not by the request.
            self._used.add(hashed)
        return caller

    def _may_read(self, now: float) -> bool:
        is_reading = self._reading is not None and not self._reading.done()
        return is_reading or now - self._read_started > RETRY_SECONDS

    async def _refresh(self, now: float, hashed: str) -> None:
        """Read the keys, once for all callers that wait, for at most `SECONDS`."""
        if self._reading is None or self._reading.done():
            self._read_started = now
            self._reading = asyncio.create_task(self._read())
        try:
            async with asyncio.timeout(max(0.0, self._read_started + SECONDS - now)):
                await asyncio.shield(self._reading)
        except (DatabaseError, TimeoutError) as error:
            if hashed in self._known:
                return
            if isinstance(error, DatabaseError):
                self._read_started = -1e9
                raise
            raise OperationalError("the database does not answer") from None

    async def _read(self) -> None:
        self._known = await database_sync_to_async(_active_keys)()
        self._read_at = time.monotonic()

    async def write_last_uses(self) -> None:
        """Write which keys were used since the last call."""
        used, self._used = self._used, set()
        if not used:
            return
        try:
            await database_sync_to_async(_mark_used)(used)
        except DatabaseError as error:
            self._used |= used
            kind = type(error).__name__
            logger.warning("Last uses of API keys are not written yet: %s", kind)

    def clear(self) -> None:
        """Read all keys again at the next request."""
        self._known.clear()
        self._read_at = self._read_started = -1e9


def _active_keys() -> dict[str, Caller]:
    found = ApiKey.objects.filter(revoked=None)
    return {
        key.hashed: Caller(f"key:{key.name}", frozenset(key.scopes)) for key in found
    }


def _mark_used(used: set[str]) -> None:
    ApiKey.objects.filter(hashed__in=used).update(last_used=timezone.now())


keyring = Keyring()
