"""A recipient of the events of a topic, and the events that wait for its join."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from beam.config.conf import conf
from beam.telemetry import metrics
from rooms.messaging.outbound import Socket
from rooms.protocol.encoded_event import Delivery
from rooms.protocol.output_limit import CEILING


class Member(Protocol):
    """One joined topic of one socket.

    `held`: the events that wait during the join; None after it.
    `since`: the client knows presence changes up to this version.
    `intercepts`: names of events that go to `handle_out` instead of the socket.
    `urgent`: those of `intercepts` that do not wait for the end of the join.
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
        """Called if too many events came during the join: they were dropped."""


class HeldEvents:
    """Events that wait for the end of a member's join.

    They have the same limit as the output of a slow client: see
    `rooms.protocol.output_limit`.
    """

    __slots__ = ("_deliveries", "_size", "has_overflowed")

    def __init__(self) -> None:
        self._deliveries: list[Delivery] = []
        self._size = 0
        self.has_overflowed = False

    def add(self, run: Sequence[Delivery]) -> None:
        """Keep events. Above the limit all are dropped, and later ones too."""
        self.has_overflowed |= self._size > CEILING * conf().outbound_limit
        self._size += sum(len(delivery.data) for delivery in run)
        self._deliveries.extend(run)
        if self.has_overflowed:
            metrics.DROPPED.value += len(self._deliveries)
            self._deliveries.clear()

    def __iter__(self) -> Iterator[Delivery]:
        return iter(self._deliveries)
