"""`Member`: a recipient of the events of a topic, as the hub sees it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from beam.config.conf import conf
from beam.telemetry import metrics
from rooms.messaging.outbound import Socket
from rooms.protocol.backlog import CEILING
from rooms.protocol.event import Delivery


class Member(Protocol):
    """One joined topic of one socket.

    `held`: not None while the join is under way; events wait there.
    `since`: presence changes up to this version are known to the client.
    `intercepts`: names of events that go to `handle_out` instead of the socket.
    `urgent`: those of `intercepts` that are handed over during a join too.
    """

    id: str
    topic: str
    socket: Socket
    labels: tuple[str, ...]
    held: HeldEvents | None
    since: int
    intercepts: frozenset[str]
    urgent: frozenset[str]

    def handle_out(self, delivery: Delivery) -> None:
        """Take an intercepted event instead of the socket."""

    def overflowed(self) -> None:
        """More events came during the join than may wait: they were dropped."""


class HeldEvents:
    """Events that wait for the end of a member's join.

    Bounded as what waits for a client that reads slowly: see `rooms.protocol.backlog`.
    """

    __slots__ = ("_deliveries", "_size", "has_overflowed")

    def __init__(self) -> None:
        self._deliveries: list[Delivery] = []
        self._size = 0
        self.has_overflowed = False

    def add(self, run: Sequence[Delivery]) -> None:
        """Keep some events; once they are too many, none are kept any more."""
        self.has_overflowed |= self._size > CEILING * conf().outbound_limit
        self._size += sum(len(delivery.data) for delivery in run)
        self._deliveries.extend(run)
        if self.has_overflowed:
            metrics.DROPPED.value += len(self._deliveries)
            self._deliveries.clear()

    def __iter__(self) -> Iterator[Delivery]:
        return iter(self._deliveries)
