"""A client that uses the protocol as the official client does, and keeps a record.

It reconnects to any server with back-off, joins again, sends heartbeats, lets pushes
time out, computes presence, and drops messages that are not of its current join.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from tests.stress.behaviour import Behaviour
from tests.stress.ledger import Ledger, Message, Received
from tests.stress.view import View

HEARTBEAT_SECONDS = 2.0
TIMEOUT_SECONDS = 10.0
REJOIN_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0)
BURST = 4

CONNECTING = (OSError, TimeoutError, WebSocketException, InvalidHandshake)


class Lost(Exception):
    """The connection ended."""


Urls = Callable[[], Sequence[str]]


class Client:
    """One session of a user: connects, acts and records until `stop`."""

    def __init__(
        self,
        name: str,
        rooms: Sequence[str],
        tokens: Callable[[str, str | None], str],
        urls: Urls,
        ledger: Ledger,
        seed: str,
    ) -> None:
        """`tokens(user, room)`: a token. `urls()`: the URLs `ws://.../socket`."""
        self.user, _, self.session_id = name.partition(":")
        self.session = name
        self.rooms = list(rooms)
        self.tokens = tokens
        self.urls = urls
        self.ledger = ledger
        self.behaviour = Behaviour()
        self.counts: Counter[str] = Counter()
        self.views: dict[str, View] = {}
        self.slowest = 0.0
        self.acting = self.running = True
        self._random = random.Random(seed)
        self._connections = itertools.count(1)
        self._refs = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._seqs = itertools.count(1)
        self._socket: ClientConnection | None = None
        self.connection = ""

    def __str__(self) -> str:
        port = self._socket.remote_address[1] if self._socket else None
        return f"{self.connection} on {port}"

    async def run(self) -> None:
        """Connect again and again until `stop`."""
        tries = 0
        while self.running:
            try:
                await self._connect()
            except CONNECTING:
                self.counts["failed connection attempts"] += 1
                await self._back_off(tries)
                tries += 1
                continue
            tries = 0
            await self._use_connection()
            if self.running:
                await self._back_off(0)

    async def stop(self) -> None:
        """Leave every room properly, then close."""
        self.acting = False
        for topic in list(self.views):
            with suppress(Lost, TimeoutError):
                await self._leave(topic)
        self.running = False
        if self._socket is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await self._socket.close()

    async def _back_off(self, tries: int) -> None:
        pause = REJOIN_SECONDS[min(tries, len(REJOIN_SECONDS) - 1)]
        await asyncio.sleep(pause * self._random.uniform(0.5, 1.5))

    async def _connect(self) -> None:
        url = self._random.choice(self.urls())
        token = quote(self.tokens(self.user, None))
        self._socket = await connect(
            f"{url}/websocket?vsn=2.0.0&user_token={token}",
            compression=None,
            max_size=None,
            max_queue=None,
            ping_interval=None,
            open_timeout=5,
            close_timeout=1,
            proxy=None,
        )
        self.connection = f"{self.session}/{next(self._connections)}"
        self._seqs = itertools.count(1)
        self.counts["connections"] += 1

    async def _use_connection(self) -> None:
        """Use one connection until it ends."""
        assert self._socket is not None
        tasks = [
            asyncio.create_task(work)
            for work in (self._read(), self._heartbeat(), self._act())
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            self._close()
        for result in results:
            if isinstance(result, Exception) and not isinstance(
                result, (Lost, *CONNECTING)
            ):
                raise result

    def _close(self) -> None:
        """Close the connection, and end all memberships."""
        assert self._socket is not None
        self._socket.transport.abort()
        for topic in list(self.views):
            self._end(topic, "closed")
        for answer in list(self._waiting.values()):
            if not answer.done():
                answer.set_exception(Lost())
                answer.exception()

    def _end(self, topic: str, how: str) -> None:
        view = self.views.pop(topic)
        view.membership.ended, view.membership.how = time.monotonic(), how

    async def _read(self) -> None:
        assert self._socket is not None
        async for text in self._socket:
            self._receive(*json.loads(text))
        self.counts[f"closed with {self._socket.close_code}"] += 1
        raise Lost

    async def _heartbeat(self) -> None:
        """Send heartbeats. Close if one is not answered before the next."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            try:
                await self._push("phoenix", "heartbeat", {}, None, HEARTBEAT_SECONDS)
            except TimeoutError:
                self.counts["heartbeats missed"] += 1
                raise Lost from None

    async def _push(
        self,
        topic: str,
        event: str,
        payload: Any,
        join_ref: str | None,
        seconds: float = TIMEOUT_SECONDS,
    ) -> Any:
        """Push, and return the payload of the reply. Raises `TimeoutError`, `Lost`."""
        answer = await self._send(topic, event, payload, join_ref)
        async with asyncio.timeout(seconds):
            return await answer

    async def _send(
        self, topic: str, event: str, payload: Any, join_ref: str | None
    ) -> asyncio.Future[Any]:
        """Push, and return a future of the payload of the reply."""
        assert self._socket is not None
        ref = str(next(self._refs))
        if event == "phx_join":
            join_ref = ref
        answer = asyncio.get_running_loop().create_future()
        answer.add_done_callback(lambda _: self._waiting.pop(ref, None))
        self._waiting[ref] = answer
        await self._socket.send(json.dumps([join_ref, ref, topic, event, payload]))
        return answer

    def _receive(
        self,
        join_ref: str | None,
        ref: str | None,
        topic: str,
        event: str,
        payload: Any,
    ) -> None:
        now = time.monotonic()
        if event == "phx_reply":
            if (answer := self._waiting.get(ref or "")) and not answer.done():
                self._note_join(topic, join_ref, ref, payload, now)
                answer.set_result(payload)
            return
        view = self.views.get(topic)
        if view is None or join_ref not in (None, view.join_ref):
            return
        if event in ("phx_error", "phx_close"):
            self.counts[event] += 1
            self._end(topic, "closed")
        elif event == "beam_gap":
            view.membership.gaps.append(now)
        elif event.startswith("presence_"):
            view.follow(event, payload, now)
        else:
            view.membership.received.append(
                Received(now, payload["by"], payload["seq"])
            )

    def _note_join(
        self,
        topic: str,
        join_ref: str | None,
        ref: str | None,
        payload: Any,
        now: float,
    ) -> None:
        """Begin a membership with its reply, before messages that follow it."""
        if join_ref == ref and payload["status"] == "ok" and topic.startswith("room:"):
            membership = self.ledger.join(topic, self.session, now)
            self.views[topic] = View(topic, str(ref), membership)

    async def _act(self) -> None:
        """Join all rooms, and act at random times."""
        while self.running:
            await self._join_all()
            await asyncio.sleep(self._random.expovariate(self.behaviour.rate))
            if self.acting and self.views:
                names, weights = zip(*self.behaviour.actions.items(), strict=True)
                [name] = self._random.choices(names, weights)
                await self._act_once(
                    name, self._random.choice(list(self.views.values()))
                )

    async def _act_once(self, name: str, view: View) -> None:
        self.counts[f"action: {name}"] += 1
        if name == "broadcast":
            await self._send_messages(view, None)
        elif name == "direct message":
            others = [s for s in view.sessions() if s != self.session]
            if others:
                await self._send_messages(view, self._random.choice(others))
        elif name == "presence update":
            meta = {"meta": {"mood": self._random.randrange(5)}}
            with suppress(TimeoutError):
                await self._push(view.topic, "presence_update", meta, view.join_ref)
        elif name == "rejoin":
            with suppress(TimeoutError):
                await self._leave(view.topic)
        elif name == "drop connection, pause":
            await self._drop_and_pause()
        else:
            raise Lost

    async def _drop_and_pause(self) -> None:
        assert self._socket is not None
        self._close()
        await asyncio.sleep(self._random.uniform(1.0, 3.0))
        raise Lost

    async def _join_all(self) -> None:
        tries = 0
        for room in self.rooms:
            while self.running and room not in self.views:
                payload = {
                    "room_token": self.tokens(self.user, room.removeprefix("room:")),
                    "session_id": self.session_id,
                }
                try:
                    reply = await self._push(room, "phx_join", payload, None)
                except TimeoutError:
                    self.counts["joins timed out"] += 1
                else:
                    if reply["status"] == "ok":
                        break
                    self.counts[f"joins refused: {reply['response']['reason']}"] += 1
                await self._back_off(tries)
                tries += 1

    async def _leave(self, topic: str) -> None:
        if (view := self.views.get(topic)) is None:
            return
        self._end(topic, "left")
        await self._push(topic, "phx_leave", {}, view.join_ref)

    async def _send_messages(self, view: View, to: str | None) -> None:
        """Push a few numbered messages at once, and record the replies."""
        sent = []
        for _ in range(self._random.randint(1, BURST)):
            message = Message(
                self.connection,
                next(self._seqs),
                view.topic,
                self.session,
                time.monotonic(),
                to,
            )
            self.ledger.messages.append(message)
            payload: dict[str, Any] = {"by": message.sender, "seq": message.seq}
            payload |= {"broadcast": True} if to is None else {"to": [{"session": to}]}
            answer = await self._send(view.topic, "new_msg", payload, view.join_ref)
            answer.add_done_callback(partial(self._answered, message))
            sent.append(answer)
        with suppress(TimeoutError):
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await asyncio.gather(*sent)

    def _answered(self, message: Message, answer: asyncio.Future[Any]) -> None:
        if answer.cancelled():
            message.status = "timed out"
        elif answer.exception() is None:
            message.answered = time.monotonic()
            self.slowest = max(self.slowest, message.answered - message.at)
            reply = answer.result()
            ok = reply["status"] == "ok"
            message.status = "ok" if ok else reply["response"]["reason"]
