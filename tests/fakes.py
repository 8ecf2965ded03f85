"""Fakes of parts of a process: members without a channel, no database."""

from __future__ import annotations

import itertools
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from rooms.messaging.member import HeldEvents
from rooms.messaging.outbound import Ended, Receiver, Socket
from rooms.protocol.close_codes import Close
from rooms.protocol.encoded_event import Delivery
from rooms.protocol.frame import Frame, Vsn
from rooms.protocol.serializer import encode
from rooms.records.upkeep import Upkeep

_ids = itertools.count()


class FakeSocket:
    """A socket that keeps what was written, by write."""

    def __init__(self, vsn: Vsn = Vsn.V2) -> None:
        self.vsn = vsn
        self.writes: list[list[bytes]] = []

    def send(self, frames: Iterable[Frame]) -> None:
        self.writes.append([encode(frame, self.vsn) for frame in frames])

    def deliver(self, batch: Sequence[Delivery], joined: bytes | None) -> None:
        data = (delivery.encoded(self.vsn) for delivery in batch)
        self.writes.append([item for item in data if item is not None])

    def close(self, code: Close) -> None:
        raise AssertionError("no test closes this socket")

    def is_behind(self) -> bool:
        return False

    def idle_for(self) -> float:
        return 0.0

    def resume(self) -> None:
        raise AssertionError("no test pauses this socket")

    async def pause(self, seconds: float) -> None:
        raise AssertionError("no test pauses this socket")

    def listen(self, receiver: Receiver, ended: Ended) -> bool:
        return False

    @property
    def got(self) -> list[Any]:
        """The payloads, in order."""
        parsed = [json.loads(data) for write in self.writes for data in write]
        return [x[4] if type(x) is list else x["payload"] for x in parsed]


class FakeMember:
    """A member without a channel."""

    intercepts: frozenset[str] = frozenset()
    urgent: frozenset[str] = frozenset()

    def __init__(self, topic: str, *labels: str, vsn: Vsn = Vsn.V2) -> None:
        self.id = f"m{next(_ids)}"
        self.topic = topic
        self.fake = FakeSocket(vsn)
        self.socket: Socket = self.fake
        self.labels = labels
        self.held: HeldEvents | None = None
        self.since = 0
        self.intercepted: list[str] = []

    def handle_out(self, delivery: Delivery) -> None:
        self.intercepted.append(delivery.name)

    def overflowed(self) -> None:
        self.intercepted.append("overflowed")


async def _closed() -> bool:
    return True


class IdleUpkeep(Upkeep):
    """Upkeep that does not use the database.

    `close`: called in place of `close_rooms`. `reads_overrides`: changes of settings
    of single rooms are read from the database all the same.
    """

    def __init__(
        self,
        close: Callable[[], Awaitable[bool]] = _closed,
        *,
        reads_overrides: bool = False,
    ) -> None:
        super().__init__()
        self._close = close
        self._reads_overrides = reads_overrides

    def start(self) -> None:
        """Write nothing."""

    async def close_rooms(self) -> bool:
        return await self._close()

    async def overrides_changed(self, changes: dict[str, Any]) -> None:
        if self._reads_overrides:
            await super().overrides_changed(changes)
