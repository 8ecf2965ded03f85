"""Reads the statistics that another process wrote as JSON."""

from __future__ import annotations

from typing import Any

from beam.telemetry import metrics
from rooms.monitoring.process_stats import Buckets, ProcessStats


def from_json(data: Any) -> ProcessStats:
    """The statistics of another process, which may run another version of Beam.

    Values that one of the two versions does not know are left out, and so are
    histograms with other bounds, which cannot be added up. Raises `TypeError` if the
    time `at` is missing.
    """
    stats = _table(data)
    if not isinstance(at := stats.get("at"), int | float):
        raise TypeError("the time is missing")
    return ProcessStats(
        at,
        _numbers(stats.get("counters")),
        _numbers(stats.get("gauges")),
        _histograms(_table(stats.get("histograms"))),
        {name: _numbers(why) for name, why in _table(stats.get("reasons")).items()},
    )


def _table(data: Any) -> dict[str, Any]:
    return data if isinstance(data, dict) else {}


def _numbers(data: Any) -> dict[str, float]:
    items = _table(data).items()
    return {name: value for name, value in items if isinstance(value, int | float)}


def _histograms(data: dict[str, Any]) -> dict[str, Buckets]:
    found = {}
    for name, known in metrics.HISTOGRAMS.items():
        bounds, size = list(known.bounds), len(known.counts)
        match data.get(name):
            case {
                "bounds": given,
                "counts": list(counts),
                "sum": float() | int() as total,
            }:
                if given == bounds and len(counts) == size:
                    found[name] = Buckets(bounds, counts, total)
    return found
