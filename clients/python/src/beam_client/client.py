"""`Beam`: sends the calls of a backend, and retries them if that may help."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

import httpx

from beam_client import answers, calls
from beam_client.answers import Member, Room, RoomDetails
from beam_client.calls import Call, Event, Id
from beam_client.options import MAX_WAIT, TRIES, Client, unreachable

T = TypeVar("T")


class Beam(Client):
    """A client of Beam. Close it, or use it in a `with` statement.

    Its methods raise `BeamError` if Beam refuses a request, and `Unavailable` if
    Beam cannot be reached, or is overloaded, after the last try.
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
        """Either `secret` or `key` is required. `timeout`: seconds for each try.

        `max_wait`: the sum of the pauses between the tries of one call, in seconds.
        Raises `ValueError` for a URL, secret or number that is not valid.
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
        budget = self._retry_budget()
        while True:
            try:
                answer = self._http.request(**self._request(call))
            except httpx.RequestError as error:
                pause = budget.pause(None)
                if pause is None:
                    raise unreachable(error) from error
            else:
                pause = budget.pause(answer)
                if pause is None:
                    return answers.read(answer, call.read)
            time.sleep(pause)

    def publish(
        self,
        room_id: Id,
        name: str = "new_msg",
        payload: Mapping[str, Any] | None = None,
    ) -> None:
        """Send an event to all members of a room."""
        self._send(calls.publish(room_id, name, payload))

    def publish_batch(self, events: Sequence[Event]) -> list[dict[str, Any]]:
        """Send many events. One result for each: `{"status": "ok"}`, or an error."""
        return self._send(calls.publish_batch(events))

    def rooms(self, prefix: str = "") -> Iterator[Room]:
        """All rooms that have members, sorted by name."""
        cursor: str | None = ""
        while cursor is not None:
            page = self._send(calls.rooms(prefix, cursor))
            yield from page.rooms
            cursor = page.cursor

    def room(self, room_id: Id) -> RoomDetails:
        """One room, with or without members."""
        return self._send(calls.room(room_id))

    def presence(self, room_id: Id) -> list[Member]:
        """The members of a room."""
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
        """Remove a user, or one session, from a room. The removed sessions."""
        return self._send(
            calls.remove(room_id, user_id, session, reason, block_seconds)
        )

    def close_room(self, room_id: Id) -> int:
        """Remove all members and refuse joins. The number of members removed."""
        return self._send(calls.close_room(room_id))

    def open_room(self, room_id: Id) -> RoomDetails:
        """Accept joins again. The room."""
        return self._send(calls.open_room(room_id))

    def disconnect(self, user_id: Id) -> None:
        """Close all connections of a user."""
        self._send(calls.disconnect(user_id))

    def processes(self) -> list[dict[str, Any]]:
        """The processes of the deployment."""
        return self._send(calls.processes())
