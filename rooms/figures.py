"""Owns what this process can say of itself in numbers."""

from __future__ import annotations

import os
import resource
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beam import metrics, redis
from beam.conf import conf
from rooms.connections import connections
from rooms.hub import hub

STARTED = time.time()
_PAGES = Path("/proc/self/statm")
_PAGE_BYTES = resource.getpagesize()


@dataclass(slots=True)
class Figures:
    """A process's numbers at a moment, in a form that travels as JSON.

    `histograms`: the counts of each bucket, and behind them the sum. `reasons`: of
    the counters that tell why, how many for each reason.
    """

    at: float
    counters: dict[str, float]
    gauges: dict[str, float]
    histograms: dict[str, list[float]] = field(default_factory=dict)
    reasons: dict[str, dict[str, int]] = field(default_factory=dict)


GAUGES = {
    "connections": "Open WebSocket connections",
    "members": "Joined channels, of rooms and others",
    "topics": "Topics that have members in this process",
    "draining": "1 while the process closes its connections to end",
    "redis_up": "0 while Redis is away; 1 also where none is used",
    "memory_bytes": "Resident memory",
    "loop_lag_seconds": "How late the event loop woke up a second ago",
    "start_time_seconds": "When the process started: Unix time",
}


class Lag:
    """How late the event loop woke up of late."""

    def __init__(self) -> None:
        self.seconds = 0.0


lag = Lag()


def take() -> Figures:
    """This process's figures now. Must be called in the event loop."""
    counters: dict[str, float] = {
        name: counter.value for name, counter in metrics.COUNTERS.items()
    }
    counters["cpu_seconds"] = time.process_time()
    gauges = {
        "connections": len(connections),
        "members": hub().members,
        "topics": hub().rooms(),
        "draining": int(connections.draining),
        "redis_up": int(not conf().redis_url or redis.link().up),
        "memory_bytes": memory_bytes(),
        "loop_lag_seconds": lag.seconds,
        "start_time_seconds": STARTED,
    }
    histograms: dict[str, list[float]] = {
        name: [*found.counts, found.sum] for name, found in metrics.HISTOGRAMS.items()
    }
    reasons = {
        name: dict(counter.reasons)
        for name, counter in metrics.COUNTERS.items()
        if counter.reasons
    }
    return Figures(time.time(), counters, gauges, histograms, reasons)


def who() -> dict[str, Any]:
    """What people tell this process from others by: host, pid, started (Unix time)."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": int(STARTED),
    }


def memory_bytes() -> int:
    """Resident memory of this process; its peak where the system tells no more."""
    with suppress(OSError, ValueError, IndexError):
        return int(_PAGES.read_text().split()[1]) * _PAGE_BYTES
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Bytes on macOS, kibibytes elsewhere.
    return peak if sys.platform == "darwin" else peak * 1_024


def from_json(data: dict[str, Any]) -> Figures:
    """What another process told. Raises `TypeError` for anything else."""
    return Figures(**data)
