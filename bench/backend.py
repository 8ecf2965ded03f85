"""The backend of the REST scenarios: one keep-alive connection per room."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import urlsplit

from bench.dialects import body
from bench.load import Crowd, InvalidRun

SENDER = 1_000_000
SECRET = "dev-secret"


class Backend:
    """Sends events over REST, each when the previous one is answered."""

    def __init__(self, base: str, crowd: Crowd) -> None:
        where = urlsplit(base)
        self._host, self._port = where.hostname, where.port
        self._crowd = crowd

    async def send(self, events: int, batch: int) -> None:
        """Send `events` events to each room, and await every delivery.

        `batch` events a request; 1: the call for a single event.
        """
        crowd = self._crowd
        people = sum(len(members) for members in crowd.rooms.values())
        await asyncio.gather(*(self._send(room, events, batch) for room in crowd.rooms))
        await crowd.reach(events * people)

    async def _send(self, room: str, events: int, batch: int) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        for number in range(0, events, batch):
            writer.write(_request(room, number, batch))
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise InvalidRun(f"a request was answered with {head[:40]!r}")
            if found := _LENGTH.search(head):
                await reader.readexactly(int(found[1]))
            else:
                await reader.readuntil(b"0\r\n\r\n")
        writer.close()


_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


def _request(room: str, first: int, batch: int) -> bytes:
    path, text = "push_room_event", _event(room, first)
    if batch > 1:
        events = ",".join(_event(room, first + more) for more in range(batch))
        path, text = "events", f'{{"events":[{events}]}}'
    head = (
        f"POST /api/v1/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"secret: {SECRET}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(text)}\r\n\r\n"
    )
    return (head + text).encode()


def _event(room: str, number: int) -> str:
    payload = f"{{{body(SENDER, number)}}}"
    return f'{{"room_id":"{room}","event":"msg","payload":{payload}}}'
