"""The load generator: members, their messages, and the check of each delivery."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.dialects import Dialect

MakeDialect = Callable[[int, str], Dialect]
STALL_SECONDS = 30.0
FLOOD_BYTES = 100_000
FLOOD_BURST = 20


class InvalidRun(Exception):
    """A delivery was lost, doubled or out of order: the measurement is invalid."""


class Member(WSListener):
    """One member of a room. Checks that every sender's numbers come in order."""

    def __init__(self, dialect: Dialect, crowd: Crowd) -> None:
        self.dialect = dialect
        self.crowd = crowd
        self.joined = asyncio.get_running_loop().create_future()
        self.received: dict[bytes, int] = {}
        self.transport: WSTransport | None = None
        self.stuck = False

    def stop_reading(self) -> None:
        """Stop reading."""
        self.stuck = True
        if self.transport is not None:
            self.transport.underlying_transport.pause_reading()

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Send the first frame."""
        self.transport = transport
        for frame in self.dialect.hello():
            transport.send(WSMsgType.TEXT, frame)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Count a message, or continue the join."""
        if frame.msg_type is not WSMsgType.TEXT:
            return
        self.crowd.frames += 1
        data = frame.get_payload_as_bytes()
        self.crowd.bytes += len(data)
        at = data.find(b'"s":')
        if at >= 0:
            self._take(data, at)
        elif not self.joined.done():
            self._greet(transport, data)
        elif data == b"2":  # engine.io's ping
            transport.send(WSMsgType.TEXT, b"3")

    def _greet(self, transport: WSTransport, data: bytes) -> None:
        try:
            answers = self.dialect.greeting(data)
        except RuntimeError as refusal:
            self.joined.set_exception(InvalidRun(str(refusal)))
            return
        if answers is None:
            self.joined.set_result(None)
            return
        for answer in answers:
            transport.send(WSMsgType.TEXT, answer)

    def _take(self, data: bytes, at: int) -> None:
        comma = data.index(b",", at)
        end = data.index(b",", comma + 1)
        sender, number = data[at + 4 : comma], int(data[comma + 5 : end])
        expected = self.received.get(sender, -1) + 1
        if number != expected:
            self.crowd.fail(f"{number} from {sender!r} where {expected} was due")
        self.received[sender] = number
        self.crowd.delivered(number)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """A connection that ends during a run makes it invalid."""
        if not self.crowd.closing and not self.stuck:
            self.crowd.fail("a connection was closed")


@dataclass
class Crowd:
    """All members of a run, and what they received."""

    rooms: dict[str, list[Member]] = field(default_factory=dict)
    deliveries: int = 0
    wrong: str = ""
    closing: bool = False
    latencies: list[float] = field(default_factory=list)
    timed: bool = False
    sent_at: dict[int, float] = field(default_factory=dict)
    at_once: int = 50
    frames: int = 0
    bytes: int = 0
    _goal: int = 0
    _reached: asyncio.Event = field(default_factory=asyncio.Event)

    def fail(self, why: str) -> None:
        """Remember the first thing that went wrong, and end the wait."""
        self.wrong = self.wrong or why
        self._reached.set()

    def delivered(self, number: int) -> None:
        """One message reached one member."""
        self.deliveries += 1
        if self.timed:
            self.latencies.append(time.perf_counter() - self.sent_at[number])
        if self.deliveries >= self._goal:
            self._reached.set()

    async def reach(self, goal: int) -> None:
        """Wait until so many deliveries were made. Raises `InvalidRun`."""
        self._goal = goal
        if self.deliveries < goal:
            self._reached.clear()
            try:
                await asyncio.wait_for(self._reached.wait(), STALL_SECONDS)
            except TimeoutError:
                raise InvalidRun(
                    f"{goal - self.deliveries} deliveries missing"
                ) from None
        if self.wrong:
            raise InvalidRun(self.wrong)

    async def gather(
        self,
        base: str,
        make: MakeDialect,
        rooms: int,
        size: int,
        first: int = 0,
        room: str = "",
    ) -> float:
        """Connect and join all members; the seconds it took.

        `first`: the number of the first member, where there are other crowds.
        `room`: the room of all of them, in place of one each `size` members.
        """
        numbers = range(first, first + rooms * size)
        names = [room or f"r{number // size}" for number in numbers]
        members = [Member(make(*who), self) for who in zip(numbers, names, strict=True)]
        urls = [member.dialect.url(base) for member in members]
        gate = asyncio.Semaphore(self.at_once)
        began = time.perf_counter()

        async def enter(name: str, member: Member, url: str) -> None:
            async with gate:
                await ws_connect(
                    lambda: member, url, websocket_handshake_timeout=STALL_SECONDS
                )
                await asyncio.wait_for(member.joined, STALL_SECONDS)
            self.rooms.setdefault(name, []).append(member)

        await asyncio.gather(*map(enter, names, members, urls))
        return time.perf_counter() - began

    async def flood(self, messages: int, window: int) -> float:
        """Send to each room as fast as answers come; the seconds it took.

        One sender a room. `window` messages of a room are under way at a time.
        """
        began = time.perf_counter()
        start, sent = self.deliveries, 0
        fan = sum(len(members) - 1 for members in self.rooms.values())
        while sent < messages:
            burst = min(window, messages - sent)
            for members in self.rooms.values():
                self._send(members[0], sent, burst)
            sent += burst
            # Half a window is always on its way.
            await self.reach(start + (sent - window // 2) * fan)
        await self.reach(start + messages * fan)
        return time.perf_counter() - began

    @staticmethod
    def _send(sender: Member, first: int, burst: int) -> None:
        transport, dialect = sender.transport, sender.dialect
        if transport is None:
            return
        for number in range(first, first + burst):
            transport.send(WSMsgType.TEXT, dialect.message(number))

    async def pace(self, messages: int, rate: float) -> None:
        """Send to the first room at a fixed rate, and time each delivery."""
        self.timed = True
        [members, *_] = self.rooms.values()
        began, start = time.perf_counter(), self.deliveries
        readers = sum(not member.stuck for member in members)
        for number in range(messages):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            self.sent_at[number] = time.perf_counter()
            self._send(members[0], number, 1)
        await self.reach(start + messages * (readers - 1))

    async def flood_without_pause(self) -> None:
        """One member sends as fast as the network accepts, until cancelled."""
        [[sender, *_], *_] = self.rooms.values()
        if sender.transport is None:
            return
        wire, number = sender.transport.underlying_transport, 0
        while True:
            # Less than the network accepts at once: more would keep the
            # generator from reading.
            if wire.get_write_buffer_size() < FLOOD_BYTES:
                self._send(sender, number, FLOOD_BURST)
                number += FLOOD_BURST
            await asyncio.sleep(0.001)

    async def direct(self, messages: int, window: int) -> None:
        """Send from the first member to each other one in turn."""
        [(sender, *others)] = self.rooms.values()
        start, sent = self.deliveries, 0
        while sent < messages:
            burst = min(window, messages - sent)
            for number in range(sent, sent + burst):
                turn, at = divmod(number, len(others))
                frame = sender.dialect.direct(turn, others[at].dialect.member)
                if sender.transport is not None:
                    sender.transport.send(WSMsgType.TEXT, frame)
            sent += burst
            await self.reach(start + sent - window // 2)
        await self.reach(start + messages)

    async def heartbeats(self, seconds: float, every: float) -> None:
        """All members are idle, and send heartbeats as the official client does."""
        everyone = [m for members in self.rooms.values() for m in members]
        began = time.perf_counter()
        for number in range(int(len(everyone) * seconds / every)):
            due = began + number * every / len(everyone)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            member = everyone[number % len(everyone)]
            if member.transport is not None and (beat := member.dialect.heartbeat()):
                member.transport.send(WSMsgType.TEXT, beat)
        await asyncio.sleep(max(0.0, began + seconds - time.perf_counter()))
        if self.wrong:
            raise InvalidRun(self.wrong)

    async def leave(self) -> None:
        """Close all connections."""
        self.closing = True
        everyone = [m for members in self.rooms.values() for m in members]
        for member in everyone:
            if member.transport is not None:
                member.transport.disconnect(graceful=not member.stuck)
        for member in everyone:
            if member.transport is not None:
                await member.transport.wait_disconnected()
