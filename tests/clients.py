"""A Phoenix client for tests, connected to the ASGI application without a server."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from channels.testing import WebsocketCommunicator

from beam.asgi import application
from rooms.auth import jwt_tokens

REFUSED = object()


class Client:
    """One V2 connection; refs are counted, frames come as lists."""

    def __init__(self, user_id: str = "ada", **query: str) -> None:
        self.user_id = user_id
        if not query:
            query = {"user_token": jwt_tokens.mint_user(user_id, 60)}
        path = "/socket/websocket?" + urlencode({"vsn": "2.0.0", **query})
        self.wire = WebsocketCommunicator(application, path)
        self._refs = itertools.count(1)

    async def connect(self) -> Client:
        """Open the connection. Raises `AssertionError` if it is refused."""
        connected, _ = await self.wire.connect()
        assert connected
        return self

    async def is_refused(self) -> bool:
        """Whether the handshake is refused."""
        connected, _ = await self.wire.connect()
        return not connected

    async def send(self, *frame: Any) -> None:
        """Send [join_ref, ref, topic, event, payload]."""
        await self.wire.send_to(text_data=json.dumps(frame))

    async def send_as(self, vsn: str, *frame: Any) -> None:
        """`send` with the serializer of a version."""
        if vsn == "1.0.0":
            names = ("join_ref", "ref", "topic", "event", "payload")
            text = json.dumps(dict(zip(names, frame, strict=True)))
            await self.wire.send_to(text_data=text)
        else:
            await self.send(*frame)

    async def answer(self, ref: str) -> Any:
        """The payload of the reply to a ref, in any version; skips other frames."""
        while True:
            frame = await self.get()
            if isinstance(frame, list):
                frame = {"ref": frame[1], "event": frame[3], "payload": frame[4]}
            if (frame["ref"], frame["event"]) == (ref, "phx_reply"):
                return frame["payload"]

    async def get(self) -> Any:
        """The next frame; fails after a second."""
        return json.loads(await self.wire.receive_from(timeout=1))

    async def is_silent(self) -> bool:
        """Whether no frame arrives within 0.05 s."""
        quiet: bool = await self.wire.receive_nothing(timeout=0.05)
        return quiet

    async def closed_with(self) -> int:
        """The code of the server's close; skips other frames."""
        while True:
            message = await self.wire.receive_output(timeout=1)
            if message["type"] == "websocket.close":
                break
        code: int = message["code"]
        return code

    async def ask(
        self, topic: str, event: str, payload: Any, join_ref: Any = "j"
    ) -> Any:
        """Push and return the reply's payload; skips other frames."""
        ref = f"r{next(self._refs)}"
        await self.send(join_ref, ref, topic, event, payload)
        while True:
            frame = await self.get()
            if frame[1] == ref and frame[3] == "phx_reply":
                return frame[4]

    async def try_join(self, room_id: str, **payload: Any) -> Any:
        """Join, by default with a valid token; the reply's payload."""
        token = {"room_token": jwt_tokens.mint_room(room_id, 60), "session_id": "1"}
        return await self.ask(f"room:{room_id}", "phx_join", token | payload)

    async def join(self, room_id: str, **payload: Any) -> Any:
        """Join, and skip the diff of the own join; the state before it."""
        reply = await self.try_join(room_id, **payload)
        assert reply == {"status": "ok", "response": {}}, reply
        state = await self.get()
        assert state[3] == "presence_state", state
        await self.event("presence_diff")
        return state[4]

    async def event(self, name: str) -> Any:
        """The payload of the next event of that name; skips others."""
        while True:
            frame = await self.get()
            if frame[3] == name:
                return frame[4]

    async def close(self) -> None:
        """Disconnect, and wait for the application's end."""
        await self.wire.disconnect()


async def connected(*user_ids: str) -> list[Client]:
    """One connection for each user."""
    return list(await asyncio.gather(*(Client(name).connect() for name in user_ids)))


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until a condition holds. Raises `TimeoutError`."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - any condition
            await asyncio.sleep(0.01)
