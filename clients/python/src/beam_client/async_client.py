"""`AsyncBeam`: the methods of `Beam` as coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

import httpx

from beam_client import answers, calls
from beam_client.answers import Member, Room, RoomDetails
from beam_client.calls import Call, Event, Id
from beam_client.options import MAX_WAIT, TRIES, Client, unreachable

T = TypeVar("T")


class AsyncBeam(Client):
    """`Beam` for asyncio. Close it, or use it in an `async with` statement."""

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
        budget = self._retry_budget()
        while True:
            try:
                answer = await self._http.request(**self._request(call))
            except httpx.RequestError as error:
                pause = budget.pause(None)
                if pause is None:
                    raise unreachable(error) from error
            else:
                pause = budget.pause(answer)
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
