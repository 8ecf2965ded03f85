"""The targets: ratios of measurements of one run, and whether they are met."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.scenario import Result

ROOM = "room of 200, full speed"
SMALL = "100 rooms of 10, full speed"
LARGE = "room of 2,000, full speed"
PACED = "room of 200 at 100 messages/s"
LIMITED = "room of 200 at 100 messages/s, limits on"
HEAVY = "room of 200 at 100 messages/s of 8 kB"
FLOODED = "the same, and one floods another room"
STOPPED = "the same, and one stops reading"
OVER = "beam over redis"


class Figures:
    """The measurements of a run, by scenario, peer and name."""

    def __init__(self, results: list[Result]) -> None:
        self._by = {(r.scenario, r.peer): r.figures for r in results}

    def __call__(self, scenario: str, peer: str, name: str = "cpu_us") -> float:
        """One measurement; `scenario`: how its name begins. Raises `KeyError`."""
        for (known, owner), figures in self._by.items():
            if known.startswith(scenario) and owner == peer:
                return figures[name]
        raise KeyError(scenario)

    def ratio(self, one: tuple[str, ...], other: tuple[str, ...]) -> float:
        """One measurement divided by another."""
        return self(*one) / self(*other)


@dataclass(frozen=True, slots=True)
class Target:
    """A row: what is measured, the bound, and whether less is better."""

    row: str
    bound: float
    measured: Callable[[Figures], float]
    less: bool = False
    how: str = "{:.1f} times"

    def is_reached(self, value: float) -> bool:
        """Whether the bound holds."""
        return value <= self.bound if self.less else value >= self.bound


TARGETS = [
    Target(
        "room of 200, over Redis: cheaper per delivery than plain Channels",
        70,
        lambda f: f.ratio((ROOM, "plain channels"), (ROOM, OVER)),
    ),
    Target(
        "room of 200, over Redis: cheaper per delivery than `ws`",
        2,
        lambda f: f.ratio((ROOM, "ws"), (ROOM, OVER)),
    ),
    Target(
        "room of 200, over Redis: CPU per delivery",
        1.6,
        lambda f: f(ROOM, OVER),
        less=True,
        how="{:.2f} us",
    ),
    Target(
        "200 at 100 messages/s: CPU compared with Socket.IO",
        1,
        lambda f: f.ratio((PACED, "beam"), (PACED, "socket.io")),
        less=True,
        how="{:.2f}",
    ),
    Target(
        "200 at 100 messages/s: p99 compared with Socket.IO",
        1,
        lambda f: f.ratio((PACED, "beam", "p99_ms"), (PACED, "socket.io", "p99_ms")),
        less=True,
        how="{:.2f}",
    ),
    Target(
        "100 rooms of 10, in process: cheaper per delivery than Socket.IO",
        1.2,
        lambda f: f.ratio((SMALL, "socket.io"), (SMALL, "beam")),
        how="{:.2f} times",
    ),
    Target(
        "100 rooms of 10, in process: cheaper per delivery than `ws` (a goal)",
        1,
        lambda f: f.ratio((SMALL, "ws"), (SMALL, "beam")),
        how="{:.2f} times",
    ),
    Target(
        "100 rooms of 10: over Redis compared with in process",
        1.4,
        lambda f: f.ratio((SMALL, OVER), (SMALL, "beam")),
        less=True,
        how="{:.2f}",
    ),
    Target(
        "100 rooms of 10: over Redis compared with Socket.IO in process",
        1,
        lambda f: f.ratio((SMALL, OVER), (SMALL, "socket.io")),
        less=True,
        how="{:.2f}",
    ),
    Target(
        "room of 2,000 compared with the room of 200, in process",
        1.3,
        lambda f: f.ratio((LARGE, "beam"), (ROOM, "beam")),
        less=True,
        how="{:.2f}",
    ),
    Target(
        "room of 2,000 compared with the room of 200, over Redis",
        1.3,
        lambda f: f.ratio((LARGE, OVER), (ROOM, OVER)),
        less=True,
        how="{:.2f}",
    ),
    Target(
        "direct message: a room of 1,000 compared with one of 10",
        1.5,
        lambda f: f.ratio(
            ("direct messages in a room of 1,000", "beam"),
            ("direct messages in a room of 10", "beam"),
        ),
        less=True,
        how="{:.2f}",
    ),
    Target(
        "join storm, in process: joins/s compared with plain Channels",
        2,
        lambda f: f.ratio(
            ("join storm", "beam", "joins_per_second"),
            ("join storm", "plain channels", "joins_per_second"),
        ),
    ),
    Target(
        "join storm, over Redis: joins/s compared with plain Channels",
        2,
        lambda f: f.ratio(
            ("join storm", OVER, "joins_per_second"),
            ("join storm", "plain channels", "joins_per_second"),
        ),
    ),
    Target(
        "10,000 idle joined sockets: memory of one",
        18_000,
        lambda f: f("10,000 idle", "beam", "rss_bytes_per_connection"),
        less=True,
        how="{:,.0f} bytes",
    ),
    Target(
        "two processes over Redis compared with one: cost per delivery",
        1.15,
        lambda f: f.ratio(
            ("room of 200 on two processes", "beam, two processes"),
            ("room of 200 on two processes", OVER),
        ),
        less=True,
        how="{:.2f}",
    ),
    Target(
        "one of 200 stops reading: the others' p99 compared with all reading",
        1.5,
        lambda f: f.ratio((STOPPED, "beam", "p99_ms"), (HEAVY, "beam", "p99_ms")),
        less=True,
        how="{:.2f}",
    ),
    Target(
        "one of 200 stops reading: it alone is closed",
        1,
        lambda f: f(STOPPED, "beam", "sockets_closed"),
        less=True,
        how="{:.0f} closed",
    ),
    Target(
        "one floods another room: p99 compared with no flood",
        1.5,
        lambda f: f.ratio((FLOODED, "beam", "p99_ms"), (LIMITED, "beam", "p99_ms")),
        less=True,
        how="{:.2f}",
    ),
]


def table(results: list[Result]) -> list[list[str]]:
    """A row for each target whose scenarios were measured."""
    figures, rows = Figures(results), []
    for target in TARGETS:
        try:
            value = target.measured(figures)
        except KeyError:
            continue
        sign = "at most" if target.less else "at least"
        bound = target.how.format(target.bound)
        verdict = "reached" if target.is_reached(value) else "**missed**"
        rows.append([target.row, f"{sign} {bound}", target.how.format(value), verdict])
    return rows
