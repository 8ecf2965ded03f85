"""Owns `Beam` and `AsyncBeam`: calls sent, tried again where that may help."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import httpx

from beam_client import calls
from beam_client.calls import Call, Event, Member, Room, RoomDetails
from beam_client.errors import Unavailable

TRIES = 3
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
PAGE = 1_000
AGAIN = (429, 503)


class _Client:
    """What both have in common: who calls, and how an answer is read."""

    def __init__(self, secret: str | None, key: str | None, tries: int) -> None:
        if (secret is None) == (key is None):
            raise ValueError("say either secret or key")
        self._tries = tries
        self._headers = (
            {"secret": secret} if secret else {"Authorization": f"Bearer {key}"}
        )

    def _request(self, call: Call) -> dict[str, Any]:
        return {
            "method": call.method,
            "url": call.path,
            "json": call.body,
            "params": call.query,
            "headers": {**self._headers, **call.headers},
        }

    @staticmethod
    def _pause(tried: int, answer: httpx.Response | None) -> float:
        """Seconds until the next try."""
        told = answer.headers.get("Retry-After", "") if answer is not None else ""
        if told.isdigit():
            return min(float(told), LONGEST_PAUSE)
        pause: float = min(FIRST_PAUSE * 2**tried, LONGEST_PAUSE)
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 - no secret

    @staticmethod
    def _read(answer: httpx.Response) -> Any:
        """The body. Raises `BeamError`."""
        try:
            body = answer.json() if answer.content else None
        except ValueError:
            body = None
        if answer.status_code >= 400:
            raise calls.error(answer.status_code, body)
        return body


def _unreachable(error: httpx.TransportError) -> Unavailable:
    return Unavailable(0, "unreachable", str(error) or type(error).__name__, None)


class Beam(_Client):
    """Beam, as a backend calls it. Close it, or use it in a `with`."""

    def __init__(
        self,
        url: str,
        *,
        secret: str | None = None,
        key: str | None = None,
        timeout: float = 5.0,
        tries: int = TRIES,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`secret` or `key`: who calls. `timeout`: seconds for each try."""
        super().__init__(secret, key, tries)
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

    def _send(self, call: Call) -> Any:
        for tried in range(self._tries):
            answer = None
            last = tried == self._tries - 1
            try:
                answer = self._http.request(**self._request(call))
            except httpx.TransportError as error:
                if last:
                    raise _unreachable(error) from error
            if answer is not None and (last or answer.status_code not in AGAIN):
                return self._read(answer)
            time.sleep(self._pause(tried, answer))
        raise AssertionError("the last try returns or raises")

    def publish(
        self,
        room_id: str,
        name: str = "new_msg",
        payload: Mapping[str, Any] | None = None,
    ) -> None:
        """Send an event to everybody in a room."""
        self._send(calls.publish(room_id, name, payload or {}))

    def publish_batch(self, events: Sequence[Event]) -> list[dict[str, Any]]:
        """Send many events; one result each, `{"status": "ok"}` or with an error."""
        results: list[dict[str, Any]] = self._send(calls.publish_batch(events))[
            "results"
        ]
        return results

    def rooms(self, prefix: str = "") -> Iterator[Room]:
        """All rooms that have members, by name."""
        cursor: str | None = ""
        while cursor is not None:
            page = self._send(calls.rooms(prefix, cursor, PAGE))
            for room in page["rooms"]:
                yield Room(**room)
            cursor = page["cursor"]

    def room(self, room_id: str) -> RoomDetails:
        """One room, whether anybody is in or not."""
        return calls.room_details(self._send(calls.about_room(room_id)))

    def presence(self, room_id: str) -> list[Member]:
        """Who is in a room."""
        found = self._send(calls.about_room(room_id, "/presence"))["members"]
        return [Member(**member) for member in found]

    def remove(
        self,
        room_id: str,
        *,
        user_id: str | None = None,
        session: str | None = None,
        reason: str | None = None,
        block_seconds: float = 0.0,
    ) -> list[str]:
        """Take a user, or one session, out of a room; the sessions."""
        call = calls.remove(room_id, user_id, session, reason, block_seconds)
        removed: list[str] = self._send(call)["removed"]
        return removed

    def close_room(self, room_id: str) -> int:
        """Take everybody out and let nobody in; how many there were."""
        return int(self._send(calls.about_room(room_id, "/close", {}))["removed"])

    def open_room(self, room_id: str) -> RoomDetails:
        """Let people in again."""
        return calls.room_details(self._send(calls.about_room(room_id, "/open", {})))

    def disconnect(self, user_id: str) -> None:
        """End all connections of a user."""
        self._send(calls.disconnect(user_id))

    def processes(self) -> list[dict[str, Any]]:
        """The processes that are one service."""
        found: list[dict[str, Any]] = self._send(Call("GET", "/api/v1/processes"))[
            "processes"
        ]
        return found


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
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`secret` or `key`: who calls. `timeout`: seconds for each try."""
        super().__init__(secret, key, tries)
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

    async def _send(self, call: Call) -> Any:
        for tried in range(self._tries):
            answer = None
            last = tried == self._tries - 1
            try:
                answer = await self._http.request(**self._request(call))
            except httpx.TransportError as error:
                if last:
                    raise _unreachable(error) from error
            if answer is not None and (last or answer.status_code not in AGAIN):
                return self._read(answer)
            await asyncio.sleep(self._pause(tried, answer))
        raise AssertionError("the last try returns or raises")

    async def publish(
        self,
        room_id: str,
        name: str = "new_msg",
        payload: Mapping[str, Any] | None = None,
    ) -> None:
        """See `Beam.publish`."""
        await self._send(calls.publish(room_id, name, payload or {}))

    async def publish_batch(self, events: Sequence[Event]) -> list[dict[str, Any]]:
        """See `Beam.publish_batch`."""
        answer = await self._send(calls.publish_batch(events))
        results: list[dict[str, Any]] = answer["results"]
        return results

    async def rooms(self, prefix: str = "") -> AsyncIterator[Room]:
        """See `Beam.rooms`."""
        cursor: str | None = ""
        while cursor is not None:
            page = await self._send(calls.rooms(prefix, cursor, PAGE))
            for room in page["rooms"]:
                yield Room(**room)
            cursor = page["cursor"]

    async def room(self, room_id: str) -> RoomDetails:
        """See `Beam.room`."""
        return calls.room_details(await self._send(calls.about_room(room_id)))

    async def presence(self, room_id: str) -> list[Member]:
        """See `Beam.presence`."""
        answer = await self._send(calls.about_room(room_id, "/presence"))
        return [Member(**member) for member in answer["members"]]

    async def remove(
        self,
        room_id: str,
        *,
        user_id: str | None = None,
        session: str | None = None,
        reason: str | None = None,
        block_seconds: float = 0.0,
    ) -> list[str]:
        """See `Beam.remove`."""
        call = calls.remove(room_id, user_id, session, reason, block_seconds)
        removed: list[str] = (await self._send(call))["removed"]
        return removed

    async def close_room(self, room_id: str) -> int:
        """See `Beam.close_room`."""
        answer = await self._send(calls.about_room(room_id, "/close", {}))
        return int(answer["removed"])

    async def open_room(self, room_id: str) -> RoomDetails:
        """See `Beam.open_room`."""
        answer = await self._send(calls.about_room(room_id, "/open", {}))
        return calls.room_details(answer)

    async def disconnect(self, user_id: str) -> None:
        """See `Beam.disconnect`."""
        await self._send(calls.disconnect(user_id))

    async def processes(self) -> list[dict[str, Any]]:
        """See `Beam.processes`."""
        answer = await self._send(Call("GET", "/api/v1/processes"))
        found: list[dict[str, Any]] = answer["processes"]
        return found
