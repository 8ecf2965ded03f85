"""Owns who somebody is and what they may do: tokens in, grants out.

Tokens are JWTs of our own (HS256), or opaque ones that the backend decodes.
Nothing here logs a token.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

import httpx
import jwt
from django.core.signals import setting_changed
from django.utils.module_loading import import_string
from jwt.algorithms import HMACAlgorithm

from beam.conf import conf

logger = logging.getLogger(__name__)

ALGORITHM: Final = "HS256"
VERBS: Final = frozenset({"push", "presence"})
MAX_USER_ID: Final = 200
MAX_TOKEN: Final = 16_384


class Unauthorized(Exception):
    """The token is wrong, expired, foreign, or for something else."""


class BackendAway(Exception):
    """Whether the token is good cannot be told now; worth trying again."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a connection belongs to."""

    user_id: str


@dataclass(frozen=True, slots=True)
class RoomGrant:
    """What a room token allows: one room, perhaps one user, some verbs."""

    room_id: str
    user_id: str | None = None
    can: frozenset[str] = VERBS
    meta: dict[str, Any] = field(default_factory=dict)


class Verifier(Protocol):
    """Turns tokens into grants. `settings.BEAM["verifier"]` names a factory."""

    async def user(self, token: str) -> Identity:
        """Raises `Unauthorized` or `BackendAway`."""

    async def room(self, token: str) -> RoomGrant:
        """Raises `Unauthorized` or `BackendAway`."""


async def identify(token: object) -> Identity:
    """Who holds this user token. Raises `Unauthorized` or `BackendAway`."""
    return await verifier().user(_token(token))


async def enter(token: object, room_id: str, identity: Identity) -> RoomGrant:
    """What a room token allows this user in this room.

    Raises `Unauthorized` where it is for another room or another user, and
    `BackendAway`.
    """
    grant = await verifier().room(_token(token))
    if grant.room_id != room_id:
        raise Unauthorized("token of another room")
    if grant.user_id is not None and grant.user_id != identity.user_id:
        raise Unauthorized("token of another user")
    return grant


def _token(token: object) -> str:
    if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN:
        raise Unauthorized("no token")
    return token


def _id(value: object) -> str:
    """An id of a claim: text or a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_USER_ID:
        raise Unauthorized("the token names no id")
    return value


class JwtVerifier:
    """HS256 with the shared secrets: the first signs, all verify."""

    async def user(self, token: str) -> Identity:
        claims = self._claims(token)
        if "room_id" in claims:
            raise Unauthorized("a room token says nothing about its bearer")
        return Identity(_id(claims.get("user_id")))

    async def room(self, token: str) -> RoomGrant:
        claims = self._claims(token)
        user_id = claims.get("user_id")
        return RoomGrant(
            room_id=_id(claims.get("room_id")),
            user_id=None if user_id is None else _id(user_id),
            can=_verbs(claims.get("can")),
            meta=_meta(claims.get("meta")),
        )

    def _claims(self, token: str) -> dict[str, Any]:
        for secret in conf().token_secrets:
            try:
                return jwt.decode(
                    token,
                    _key(secret),
                    algorithms=[ALGORITHM],
                    leeway=conf().token_leeway,
                    options={"require": ["exp"]},
                )
            except jwt.InvalidSignatureError:
                continue
            except (jwt.PyJWTError, ValueError, RecursionError):
                break
        raise Unauthorized("the token is not valid")


@cache
def _key(secret: str) -> jwt.PyJWK:
    """The secret, prepared once and not for every token.

    Raises `jwt.PyJWTError` for one that is rather a public key.
    """
    text = base64.urlsafe_b64encode(secret.encode()).rstrip(b"=").decode()
    key = jwt.PyJWK({"kty": "oct", "k": text, "alg": ALGORITHM})
    key.Algorithm.prepare_key(key.key)
    key.Algorithm = _Prepared(HMACAlgorithm.SHA256)
    return key


class _Prepared(HMACAlgorithm):
    """HMAC with a key that PyJWT has looked at before: half of its time."""

    def prepare_key(self, key: str | bytes) -> bytes:
        return key if isinstance(key, bytes) else super().prepare_key(key)


def _verbs(can: object) -> frozenset[str]:
    if can is None:
        return VERBS
    if not isinstance(can, list):
        raise Unauthorized("the token's `can` is no list")
    return VERBS & {verb for verb in can if isinstance(verb, str)}


def _meta(meta: object) -> dict[str, Any]:
    if meta is None:
        return {}
    if not isinstance(meta, dict):
        raise Unauthorized("the token's `meta` is no object")
    return meta


def mint_user(user_id: str, ttl: float) -> str:
    """A user token. `ttl` in seconds."""
    return _sign({"user_id": user_id}, ttl)


def mint_room(
    room_id: str,
    ttl: float,
    *,
    user_id: str | None = None,
    can: list[str] | None = None,
    meta: dict[str, Any] | None = None,
) -> str:
    """A room token. `ttl` in seconds; what is None is left out."""
    claims = {"room_id": room_id, "user_id": user_id, "can": can, "meta": meta}
    return _sign({k: v for k, v in claims.items() if v is not None}, ttl)


def _sign(claims: dict[str, Any], ttl: float) -> str:
    claims = claims | {"exp": int(time.time() + ttl)}
    return jwt.encode(claims, conf().token_secrets[0], algorithm=ALGORITHM)


class BackendVerifier:
    """Opaque tokens: the backend decodes them (`decode_token`).

    Positive answers are kept for `backend_cache_seconds`, by the token's hash.
    """

    MAX_CACHED = 10_000

    def __init__(self) -> None:
        self._clients: WeakKeyDictionary[
            asyncio.AbstractEventLoop, httpx.AsyncClient
        ] = WeakKeyDictionary()
        self._cache: OrderedDict[bytes, tuple[float, str]] = OrderedDict()
        self._reachable = True

    async def user(self, token: str) -> Identity:
        return Identity(await self._decode("user", token))

    async def room(self, token: str) -> RoomGrant:
        return RoomGrant(await self._decode("room", token))

    async def _decode(self, kind: str, token: str) -> str:
        key = sha256(f"{kind}:{token}".encode(errors="surrogatepass")).digest()
        until, known = self._cache.get(key, (0.0, ""))
        if time.monotonic() < until:
            return known
        value = _id(await self._ask(kind, token))
        self._cache[key] = (time.monotonic() + conf().backend_cache_seconds, value)
        self._cache.move_to_end(key)
        if len(self._cache) > self.MAX_CACHED:
            self._cache.popitem(last=False)
        return value

    async def _ask(self, kind: str, token: str) -> object:
        try:
            answer = await self._client().post(
                f"{conf().backend_url.rstrip('/')}/api/v1/private/decode_token",
                json={"type": kind, "token": token},
                headers={"oorja-secret": conf().api_secrets[0]},
            )
            answer.raise_for_status()
            data = answer.json()["data"]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            self._log_state(reachable=False, error=error)
            raise BackendAway from None
        self._log_state(reachable=True)
        return data.get(f"{kind}_id") if isinstance(data, dict) else None

    def _client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients[loop] = httpx.AsyncClient(timeout=conf().backend_timeout)
        return self._clients[loop]

    async def close(self) -> None:
        """Close the running loop's client, if there is one."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def _log_state(self, *, reachable: bool, error: Exception | None = None) -> None:
        """One line a change, not one a request."""
        if reachable != self._reachable:
            if reachable:
                logger.info("The backend decodes tokens again")
            else:
                # The error's text could hold what was sent; its kind is enough.
                logger.error("The backend cannot decode: %s", type(error).__name__)
        self._reachable = reachable


def default_verifier() -> Verifier:
    """The backend's `decode_token` where `BEAM_BACKEND_URL` is set, else JWT."""
    return BackendVerifier() if conf().backend_url else JwtVerifier()


@cache
def verifier() -> Verifier:
    """The verifier in force."""
    made: Verifier = import_string(conf().verifier)()
    return made


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "BEAM":
        verifier.cache_clear()


setting_changed.connect(_forget)
