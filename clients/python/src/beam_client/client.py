"""Owns `Beam` and `AsyncBeam`: calls sent, tried again where that may help."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

import httpx

from beam_client import answers, calls
from beam_client.answers import Member, Room, RoomDetails
from beam_client.calls import Call, Event, Id
from beam_client.errors import Unavailable
from beam_client.retries import MOST_WAIT, Patience

T = TypeVar("T")

TRIES = 3
MAX_WAIT = 30.0


class _Client:
    """What both have in common: who calls, and with how much patience."""

    def __init__(
        self,
        url: str,
        secret: str | None,
        key: str | None,
        tries: int,
        max_wait: float,
    ) -> None:
        _check_url(url)
        if tries < 1:
            raise ValueError("tries is at least 1")
        if not 0 <= max_wait <= MOST_WAIT:
            raise ValueError(f"max_wait is 0 to {MOST_WAIT:.0f} seconds")
        self._headers = _credentials(secret, key)
        self._tries = tries
        self._max_wait = max_wait

    def _patience(self) -> Patience:
        return Patience(self._tries, self._max_wait)

    def _request(self, call: Call[Any]) -> dict[str, Any]:
        return {
            "method": call.method,
            "url": call.path,
            "json": call.body,
            "params": call.query,
            "headers": {**self._headers, **call.headers},
        }


def _check_url(url: str) -> None:
    """Raises `ValueError` for what cannot be an address of Beam."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"{url!r} is no URL: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"{url!r} is no URL like https://beam.example.com")
    if parsed.query or parsed.fragment:
        raise ValueError(f"{url!r} has more than a host and a path")


def _credentials(secret: str | None, key: str | None) -> dict[str, str]:
    """The headers that say who calls. Raises `ValueError`."""
    if bool(secret) == bool(key):
        raise ValueError("say either secret or key, and let it not be empty")
    said = secret or key or ""
    # It goes into a header; read from a file, it may end with a line end.
    if said != said.strip() or not (said.isascii() and said.isprintable()):
        raise ValueError("a secret or key is ASCII, without space around it")
    return {"secret": said} if secret else {"Authorization": f"Bearer {said}"}


def _unreachable(error: httpx.RequestError) -> Unavailable:
    return Unavailable(0, "unreachable", str(error) or type(error).__name__)


class Beam(_Client):
    """Beam, as a backend calls it. Close it, or use it in a `with`.

    What it calls raises `BeamError` where Beam refuses, and `Unavailable` where
    it is not there after some tries.
    """

    def __init__(
        self,
        url: str,
        *,
        secret: str | None = None,
        key: str | None = None,
        timeout: float = 5.0,
        tries: int = TRIES,
        max_wait: float = MAX_WAIT,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`secret` or `key`: who calls. `timeout`: seconds for each try.

        `max_wait`: seconds that the pauses between the tries of a call may have
        in all. Raises `ValueError` for what cannot work.
        """
        super().__init__(url, secret, key, tries, max_wait)
        self._http = httpx.Client(base_url=url, timeout=timeout, transport=transport)

    def __enter__(self) -> Beam:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(self, call: Call[T]) -> T:
        patience = self._patience()
        while True:
            try:
                answer = self._http.request(**self._request(call))
            except httpx.RequestError as error:
                pause = patience.pause(None)
                if pause is None:
                    raise _unreachable(error) from error
            else:
                pause = patience.pause(answer)
                if pause is None:
                    return answers.read(answer, call.read)
            time.sleep(pause)

    def publish(
        self,
        room_id: Id,
        name: str = "new_msg",
        payload: Mapping[str, Any] | None = None,
    ) -> None:
        """Send an event to everybody in a room."""
        self._send(calls.publish(room_id, name, payload))

    def publish_batch(self, events: Sequence[Event]) -> list[dict[str, Any]]:
        """Send many events; one result each, `{"status": "ok"}` or with an error."""
        return self._send(calls.publish_batch(events))

    def rooms(self, prefix: str = "") -> Iterator[Room]:
        """All rooms that have members, by name."""
        cursor: str | None = ""
        while cursor is not None:
            page = self._send(calls.rooms(prefix, cursor))
            yield from page.rooms
            cursor = page.cursor

    def room(self, room_id: Id) -> RoomDetails:
        """One room, whether anybody is in or not."""
        return self._send(calls.room(room_id))

    def presence(self, room_id: Id) -> list[Member]:
        """Who is in a room."""
        return self._send(calls.presence(room_id))

    def remove(
        self,
        room_id: Id,
        *,
        user_id: Id | None = None,
        session: str | None = None,
        reason: str | None = None,
        block_seconds: float = 0.0,
    ) -> list[str]:
        """Take a user, or one session, out of a room; the sessions."""
        return self._send(
            calls.remove(room_id, user_id, session, reason, block_seconds)
        )

    def close_room(self, room_id: Id) -> int:
        """Take everybody out and let nobody in; how many there were."""
        return self._send(calls.close_room(room_id))

    def open_room(self, room_id: Id) -> RoomDetails:
        """Let people in again."""
        return self._send(calls.open_room(room_id))

    def disconnect(self, user_id: Id) -> None:
        """End all connections of a user."""
        self._send(calls.disconnect(user_id))

    def processes(self) -> list[dict[str, Any]]:
        """The processes that are one service."""
        return self._send(calls.processes())


class AsyncBeam(_Client):
    """The same, to be awaited. Close it, or use it in an `async with`."""

    def __init__(
        self,
        url: str,
        *,
        secret: str | None = None,
        key: str | None = None,
        timeout: float = 5.0,
        tries: int = TRIES,
        max_wait: float = MAX_WAIT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """See `Beam`."""
        super().__init__(url, secret, key, tries, max_wait)
        self._http = httpx.AsyncClient(
            base_url=url, timeout=timeout, transport=transport
        )

    async def __aenter__(self) -> AsyncBeam:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(self, call: Call[T]) -> T:
        patience = self._patience()
        while True:
            try:
                answer = await self._http.request(**self._request(call))
            except httpx.RequestError as error:
                pause = patience.pause(None)
                if pause is None:
                    raise _unreachable(error) from error
            else:
                pause = patience.pause(answer)
                if pause is None:
                    return answers.read(answer, call.read)
            await asyncio.sleep(pause)

    async def publish(
        self,
        room_id: Id,
        name: str = "new_msg",
        payload: Mapping[str, Any] | None = None,
    ) -> None:
        """See `Beam.publish`."""
        await self._send(calls.publish(room_id, name, payload))

    async def publish_batch(self, events: Sequence[Event]) -> list[dict[str, Any]]:
        """See `Beam.publish_batch`."""
        return await self._send(calls.publish_batch(events))

    async def rooms(self, prefix: str = "") -> AsyncIterator[Room]:
        """See `Beam.rooms`."""
        cursor: str | None = ""
        while cursor is not None:
            page = await self._send(calls.rooms(prefix, cursor))
            for room in page.rooms:
                yield room
            cursor = page.cursor

    async def room(self, room_id: Id) -> RoomDetails:
        """See `Beam.room`."""
        return await self._send(calls.room(room_id))

    async def presence(self, room_id: Id) -> list[Member]:
        """See `Beam.presence`."""
        return await self._send(calls.presence(room_id))

    async def remove(
        self,
        room_id: Id,
        *,
        user_id: Id | None = None,
        session: str | None = None,
        reason: str | None = None,
        block_seconds: float = 0.0,
    ) -> list[str]:
        """See `Beam.remove`."""
        return await self._send(
            calls.remove(room_id, user_id, session, reason, block_seconds)
        )

    async def close_room(self, room_id: Id) -> int:
        """See `Beam.close_room`."""
        return await self._send(calls.close_room(room_id))

    async def open_room(self, room_id: Id) -> RoomDetails:
        """See `Beam.open_room`."""
        return await self._send(calls.open_room(room_id))

    async def disconnect(self, user_id: Id) -> None:
        """See `Beam.disconnect`."""
        await self._send(calls.disconnect(user_id))

    async def processes(self) -> list[dict[str, Any]]:
        """See `Beam.processes`."""
        return await self._send(calls.processes())
