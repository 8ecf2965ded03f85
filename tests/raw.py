"""A WebSocket client that checks every byte: frames, their order, and the close."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import quote

from rooms.auth import jwt_tokens
from tests.processes import Server

TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A


class RawFrame(NamedTuple):
    """One WebSocket frame of the server."""

    kind: int
    payload: bytes

    @property
    def event(self) -> str:
        """The name of its event."""
        name: str = json.loads(self.payload)[3]
        return name

    @property
    def event_or_none(self) -> str | None:
        """The name of its event; None for a close frame."""
        return self.event if self.kind == TEXT else None

    @property
    def body(self) -> Any:
        """The payload of its event."""
        return json.loads(self.payload)[4]


class RawClient:
    """One connection, V2. Reads 128 KiB ahead, and otherwise only in `read`."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, server: Server, user_id: str) -> RawClient:
        """Open a connection for a user."""
        client = await cls.begin(server, user_id)
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in head, head
        return client

    @classmethod
    async def begin(cls, server: Server, user_id: str) -> RawClient:
        """Request a connection, and do not wait for the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        client = cls(reader, writer)
        token = quote(jwt_tokens.mint_user(user_id, 600))
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /socket/websocket?vsn=2.0.0&user_token={token} HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        return client

    def send(self, *frame: Any) -> None:
        """Send [join_ref, ref, topic, event, payload]."""
        data = json.dumps(frame).encode()
        head = struct.pack("!BBQ", TEXT, 0x80 | 127, len(data))
        if len(data) < 65_536:
            head = struct.pack("!BBH", TEXT, 0x80 | 126, len(data))
        # A mask of zeros changes nothing.
        self.writer.write(head + bytes(4) + data)

    def ping(self, data: bytes) -> None:
        """Send a ping of at most 125 bytes."""
        self.writer.write(bytes((PING, 0x80 | len(data))) + bytes(4) + data)

    def join(self, room_id: str, **payload: Any) -> None:
        """Send a join; the replies are among the frames."""
        token = {"room_token": jwt_tokens.mint_room(room_id, 600), "session_id": "1"}
        self.send("1", "1", f"room:{room_id}", "phx_join", token | payload)

    async def frame(self) -> RawFrame:
        """The next frame. Raises `IncompleteReadError` or `ConnectionError` at the end.

        `IncompleteReadError.partial` is the part of an unfinished frame.
        """
        kind, size = await self.reader.readexactly(2)
        if size == 126:
            [size] = struct.unpack("!H", await self.reader.readexactly(2))
        elif size == 127:
            [size] = struct.unpack("!Q", await self.reader.readexactly(8))
        assert kind in (TEXT, CLOSE, PONG), f"not the head of a frame: {kind:#x}"
        try:
            return RawFrame(kind, await self.reader.readexactly(size))
        except asyncio.IncompleteReadError as error:
            raise AssertionError(
                f"{len(error.partial)} of a frame of {size} bytes"
            ) from None

    async def event(self, name: str, seconds: float = 30.0) -> RawFrame:
        """The next frame with an event of that name, not parsed; skips others."""
        marker = f',"{name}",'.encode()
        async with asyncio.timeout(seconds):
            while True:
                frame = await self.frame()
                assert frame.kind == TEXT, f"closed: {frame.payload!r}"
                if marker in frame.payload[:200]:
                    return frame

    async def to_the_end(self, seconds: float = 30.0) -> list[RawFrame]:
        """All frames until the server closes. Every byte must belong to a frame."""
        frames: list[RawFrame] = []
        async with asyncio.timeout(seconds):
            while not frames or frames[-1].kind != CLOSE:
                frames.append(await self.frame())
        return frames

    async def abort(self) -> None:
        """Drop the connection."""
        self.writer.transport.abort()
        with suppress(OSError):
            await self.writer.wait_closed()


def close_code(frame: RawFrame) -> int:
    """The code in a close frame."""
    assert frame.kind == CLOSE
    return int.from_bytes(frame.payload[:2], "big")
