"""The scenarios that are run."""

from __future__ import annotations

from bench import work
from bench.scenario import BOTH, Scenario

SHORT = frozenset({"short"})
FULL = frozenset({"full"})

SCENARIOS = [
    Scenario("room of 200, full speed", 1, 200, 6_000, 64, work=work.flood),
    Scenario(
        *("100 rooms of 10, full speed", 100, 10, 1_000, 8),
        work=work.flood,
        short_peers=BOTH | {"ws", "socket.io"},
    ),
    Scenario(
        *("room of 2,000, full speed", 1, 2_000, 1_500, 64),
        work=work.flood,
        slow=1 / 100,
        short_peers=frozenset({"beam"}),
    ),
    Scenario(
        *("room of 200 at 100 messages/s", 1, 200, 500),
        rate=100.0,
        work=work.pace,
        short_peers=BOTH | {"ws", "socket.io"},
    ),
    Scenario(
        *("room of 200 on two processes", 1, 200, 6_000, 64),
        work=work.flood,
        peers=frozenset({"beam over redis", "beam, two processes"}),
    ),
    Scenario(
        *("direct messages in a room of 10", 1, 10, 100_000, 64),
        work=work.direct,
        peers=BOTH,
    ),
    Scenario(
        *("direct messages in a room of 1,000", 1, 1_000, 100_000, 64),
        work=work.direct,
        peers=BOTH,
    ),
    Scenario(
        *("one event per REST request", 8, 10, 800),
        work=work.requests,
        unit="request",
        peers=BOTH,
    ),
    Scenario(
        *("events over REST, 100 a request", 8, 10, 15_000),
        batch=100,
        work=work.requests,
        unit="event",
        peers=BOTH,
    ),
    Scenario(
        *("join storm, 40 rooms of 50", 40, 50),
        unit="join",
        peers=BOTH | {"plain channels"},
        at_once=500,
        modes=SHORT,
    ),
    Scenario(
        *("join storm, 100 rooms of 50", 100, 50),
        unit="join",
        at_once=500,
        modes=FULL,
    ),
    Scenario(
        *("presence storm, one room of 1,000", 1, 1_000),
        unit="join",
        peers=BOTH,
        at_once=500,
    ),
    Scenario(
        *("joins to a room of 1,000 with 200 bytes of meta", 1, 1_000, 400, 16),
        meta=200,
        work=work.joins,
        unit="join",
        peers=BOTH,
        at_once=100,
        modes=SHORT,
    ),
    Scenario(
        *("joins to a room of 5,000 with 200 bytes of meta", 1, 5_000, 200, 16),
        meta=200,
        work=work.joins,
        unit="join",
        peers=BOTH,
        at_once=100,
        modes=FULL,
    ),
    Scenario(
        *("2,000 idle sockets", 200, 10),
        work=work.idle,
        unit="socket and second",
        seconds=5.0,
        peers=BOTH,
        modes=SHORT,
    ),
    Scenario(
        *("10,000 idle sockets", 1_000, 10),
        work=work.idle,
        unit="socket and second",
        modes=FULL,
    ),
    Scenario(
        *("room of 200 at 100 messages/s, limits on", 1, 200, 500),
        rate=100.0,
        work=work.pace,
        peers=BOTH,
        limited=True,
        modes=FULL,
    ),
    Scenario(
        *("the same, and one floods another room", 1, 200, 500),
        rate=100.0,
        work=work.one_floods,
        peers=BOTH,
        limited=True,
        modes=FULL,
    ),
    Scenario(
        *("room of 200 at 100 messages/s of 8 kB", 1, 200, 1_200),
        rate=100.0,
        bytes=8_000,
        work=work.pace,
        peers=BOTH,
        modes=FULL,
    ),
    Scenario(
        *("the same, and one stops reading", 1, 200, 1_200),
        rate=100.0,
        bytes=8_000,
        work=work.one_stops_reading,
        peers=BOTH,
        modes=FULL,
    ),
]
