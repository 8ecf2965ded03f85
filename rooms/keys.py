"""Owns API keys: how they are made, known again and revoked; when they were used.

A key is `beam_` and 43 characters of base64url: 256 bits, which need no slow
hash. Processes keep what they looked up for `KEPT_SECONDS`, so that a revoked key
works no longer than that; last uses are written once a minute.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from channels.db import database_sync_to_async
from django.utils import timezone

from rooms.models import ApiKey

SCOPES: Final = ("events:write", "rooms:read", "rooms:manage", "metrics:read")
PREFIX: Final = "beam_"
KEPT_SECONDS: Final = 10.0
WRITE_SECONDS: Final = 60.0
MAX_KEPT: Final = 10_000


class UnknownScope(ValueError):
    """A scope that is none of `SCOPES`."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: `name` for logs and limits, `scopes` for what it may do."""

    name: str
    scopes: frozenset[str]


def create(name: str, scopes: Sequence[str] = SCOPES) -> str:
    """A new key, to be shown once. Raises `UnknownScope`, `IntegrityError`."""
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise UnknownScope(f"no such scope: {', '.join(unknown)}")
    key = PREFIX + secrets.token_urlsafe(32)
    ApiKey.objects.create(name=name, hashed=_hash(key), scopes=sorted(set(scopes)))
    return key


def revoke(name: str) -> bool:
    """Let a key be refused from now on; whether there was one in force."""
    keys = ApiKey.objects.filter(name=name, revoked=None)
    return keys.update(revoked=timezone.now()) > 0


def _hash(key: str) -> str:
    return sha256(key.encode(errors="surrogatepass")).hexdigest()


class Keyring:
    """The keys that this process has looked up, and when they were used."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, Caller | None]] = {}
        self._used: set[str] = set()
        self._written = time.monotonic()

    async def find(self, key: str) -> Caller | None:
        """Who holds a key; None for one that is unknown or revoked.

        It is found by its hash: how long that takes says nothing about a key.
        """
        hashed, now = _hash(key), time.monotonic()
        until, caller = self._kept.get(hashed, (0.0, None))
        if until < now:
            caller = await database_sync_to_async(_look_up)(hashed)
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[hashed] = now + KEPT_SECONDS, caller
        if caller is not None:
            self._used.add(hashed)
            if now - self._written > WRITE_SECONDS:
                await self.write()
        return caller

    async def write(self) -> None:
        """Write down which keys were used since the last time."""
        used, self._used = self._used, set()
        self._written = time.monotonic()
        if used:
            await database_sync_to_async(_note)(used)

    def forget(self) -> None:
        """Look everything up anew."""
        self._kept.clear()


def _look_up(hashed: str) -> Caller | None:
    found = ApiKey.objects.filter(hashed=hashed, revoked=None).first()
    if found is None:
        return None
    return Caller(f"key:{found.name}", frozenset(found.scopes))


def _note(used: set[str]) -> None:
    ApiKey.objects.filter(hashed__in=used).update(last_used=timezone.now())


keyring = Keyring()
