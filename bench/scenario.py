"""One scenario, and the result of a run of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bench.dialects import BODY_BYTES
from bench.load import Crowd
from bench.peers import Running

BOTH = frozenset({"beam", "beam over redis"})
SINGLE = BOTH | {"plain channels", "ws", "socket.io"}
EVERY_RUN = frozenset({"short", "full"})

Figures = dict[str, float]
Work = Callable[["Scenario", Crowd, Running, Figures], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Rooms, their size, and the work that is done in them.

    `work`: sends, and returns when all was delivered. None: joining is all.
    `meta`: bytes of each member's presence meta, for Beam only.
    `unit`: what CPU is counted for.
    `peers`: the peers that can do it; `short_peers`: those of the short run.
    `slow`: the share of the messages that plain Channels handles in time.
    `limited`: Beam's limits on senders are in force.
    `modes`: of which runs it is part.
    """

    name: str
    rooms: int
    size: int
    messages: int = 0
    window: int = 32
    rate: float = 0.0
    bytes: int = BODY_BYTES
    meta: int = 0
    batch: int = 1
    seconds: float = 30.0
    work: Work | None = None
    unit: str = "delivery"
    peers: frozenset[str] = SINGLE
    short_peers: frozenset[str] | None = None
    at_once: int = 50
    slow: float = 1 / 40
    limited: bool = False
    modes: frozenset[str] = EVERY_RUN

    def peers_in(self, mode: str) -> frozenset[str]:
        """The peers of a `short` or a `full` run."""
        short = self.short_peers if mode == "short" else None
        return self.peers if short is None else short


@dataclass(slots=True)
class Result:
    """The result of one run of a scenario with one peer."""

    scenario: str
    peer: str
    unit: str
    figures: dict[str, float] = field(default_factory=dict)
    wrong: str = ""
