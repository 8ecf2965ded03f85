"""Owns the statistics of this process: counters, gauges and histograms."""

from __future__ import annotations

import os
import resource
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beam import redis
from beam.config.conf import conf
from beam.telemetry import metrics
from rooms.messaging.connections import connections
from rooms.messaging.hub import hub

STARTED = time.time()
_PAGES = Path("/proc/self/statm")
_PAGE_BYTES = resource.getpagesize()


@dataclass(slots=True)
class Buckets:
    """A histogram: the number of values per bucket, and their sum.

    A bucket ends at its bound; the last has none.
    """

    bounds: list[float]
    counts: list[float]
    sum: float


@dataclass(slots=True)
class ProcessStats:
    """The statistics of a process at the time `at` (Unix), in a form for JSON.

    `reasons`: the parts of a counter, by reason, for counters that have reasons.
    """

    at: float
    counters: dict[str, float]
    gauges: dict[str, float]
    histograms: dict[str, Buckets] = field(default_factory=dict)
    reasons: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


GAUGES = {
    "connections": "Open WebSocket connections",
    "members": "Joined channels, of rooms and other topics",
    "topics": "Topics that have members in this process",
    "draining": "1 while the process closes its connections and stops",
    "redis_up": "0 while Redis is unavailable or refuses commands; 1 without Redis",
    "memory_bytes": "Resident memory",
    "loop_lag_seconds": "Most recent event loop lag, measured every second",
    "start_time_seconds": "Start of the process, Unix time",
    "processes": "Processes that the supervisor runs; 1 without a supervisor",
}


class Lag:
    """The most recent event loop lag, in `seconds`."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def record(self, seconds: float) -> None:
        """Set the lag that was just measured."""
        self.seconds = seconds


class Supervised:
    """The number of processes that the supervisor runs, with this one."""

    def __init__(self) -> None:
        self.processes = 1

    def record(self, processes: int) -> None:
        """Set the number of processes."""
        self.processes = processes


lag = Lag()
supervised = Supervised()


def current() -> ProcessStats:
    """The statistics of this process now. Must be called in the event loop."""
    counters: dict[str, float] = {
        name: counter.value for name, counter in metrics.COUNTERS.items()
    }
    counters["cpu_seconds"] = time.process_time()
    gauges = {
        "connections": len(connections()),
        "members": hub().members,
        "topics": hub().count_topics(),
        "draining": int(connections().is_draining),
        "redis_up": int(not conf().redis_url or redis.link().up),
        "memory_bytes": memory_bytes(),
        "loop_lag_seconds": lag.seconds,
        "start_time_seconds": STARTED,
        "processes": supervised.processes,
    }
    histograms = {
        name: Buckets(list(found.bounds), list(found.counts), found.sum)
        for name, found in metrics.HISTOGRAMS.items()
    }
    reasons = {
        name: dict(counter.reasons)
        for name, counter in metrics.COUNTERS.items()
        if counter.reasons
    }
    return ProcessStats(time.time(), counters, gauges, histograms, reasons)


def identity() -> dict[str, Any]:
    """What identifies this process: `host`, `pid`, and `started` (Unix time)."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": int(STARTED),
    }


def memory_bytes() -> int:
    """Resident memory of this process; its peak if the system has only that."""
    with suppress(OSError, ValueError, IndexError):
        return int(_PAGES.read_text().split()[1]) * _PAGE_BYTES
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Bytes on macOS, kibibytes elsewhere.
    return peak if sys.platform == "darwin" else peak * 1_024
