"""Owns the backend of the REST scenarios: one keep-alive connection a room."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from bench.dialects import body
from bench.load import Crowd, Wrong

SENDER = 1_000_000
SECRET = "dev-secret"


class Backend:
    """Sends events over REST, each when the one before was answered."""

    def __init__(self, base: str, crowd: Crowd) -> None:
        where = urlsplit(base)
        self._host, self._port = where.hostname, where.port
        self._crowd = crowd

    async def send(self, requests: int) -> None:
        """So many requests to each room, and every delivery awaited."""
        crowd = self._crowd
        people = sum(len(members) for members in crowd.rooms.values())
        await asyncio.gather(*(self._send(room, requests) for room in crowd.rooms))
        await crowd.reach(requests * people)

    async def _send(self, room: str, requests: int) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        for number in range(requests):
            writer.write(_request(room, number))
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise Wrong(f"a request was answered with {head[:40]!r}")
            if b"chunked" in head.lower():
                await reader.readuntil(b"0\r\n\r\n")
        writer.close()


def _request(room: str, number: int) -> bytes:
    payload = f"{{{body(SENDER, number)}}}"
    text = f'{{"room_id":"{room}","event":"msg","payload":{payload}}}'
    head = (
        "POST /api/v1/push_room_event HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"secret: {SECRET}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(text)}\r\n\r\n"
    )
    return (head + text).encode()
