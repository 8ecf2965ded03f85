"""Owns what happened in a stress run: messages, memberships and outages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

# A cut connection is noticed after lost messages were answered.
BEFORE_SECONDS = 0.5
# Within this time all clients see a join or a leave.
STEADY_SECONDS = 1.5


@dataclass(slots=True)
class Message:
    """One push. `sender`: the connection, whose messages keep their order."""

    sender: str
    seq: int
    room: str
    session: str
    at: float
    to: str | None = None
    answered: float | None = None
    status: str = ""

    @property
    def key(self) -> tuple[str, int]:
        """What identifies the message when it is received."""
        return self.sender, self.seq


class Received(NamedTuple):
    """A message that a client received."""

    at: float
    sender: str
    seq: int


@dataclass(slots=True)
class Membership:
    """One join of a client, from its reply to its end.

    `gone`: leaves that the client saw, as (time, session). `how`: `left` or `closed`.
    """

    room: str
    session: str
    joined: float
    received: list[Received] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    gone: list[tuple[float, str]] = field(default_factory=list)
    ended: float | None = None
    how: str = ""


@dataclass(slots=True)
class Outage:
    """The time of a disturbance.

    `loses`: sockets that stay open may miss messages. `steady`: no connected member may
    seem to leave. `over`: the time at which all must be as before.
    """

    kind: str
    start: float
    loses: bool
    steady: bool = False
    over: float = float("inf")

    def covers(self, at: float) -> bool:
        """Whether a time is within the outage."""
        return self.start - BEFORE_SECONDS <= at <= self.over


@dataclass
class Ledger:
    """Everything that happened. `latest`: the last join of a session in a room."""

    messages: list[Message] = field(default_factory=list)
    memberships: list[Membership] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    latest: dict[tuple[str, str], Membership] = field(default_factory=dict)

    def join(self, room: str, session: str, at: float) -> Membership:
        """Record the begin of a membership."""
        membership = Membership(room, session, at)
        self.memberships.append(membership)
        self.latest[room, session] = membership
        return membership
