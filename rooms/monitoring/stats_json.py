"""Reads the statistics that another process wrote as JSON."""

from __future__ import annotations

from typing import Any

from beam.telemetry import metrics
from rooms.monitoring.process_stats import Buckets, ProcessStats


def from_json(data: Any) -> ProcessStats:
    """What another process told, which may be of another version.

    What one of the two does not know is missing, and so is a histogram of other
    bounds, which would not add up with one's own. Raises `TypeError` for what does
    not say when it was told.
    """
    told = _table(data)
    if not isinstance(at := told.get("at"), int | float):
        raise TypeError("no time is told")
    return ProcessStats(
        at,
        _numbers(told.get("counters")),
        _numbers(told.get("gauges")),
        _histograms(_table(told.get("histograms"))),
        {name: _numbers(why) for name, why in _table(told.get("reasons")).items()},
    )


def _table(told: Any) -> dict[str, Any]:
    return told if isinstance(told, dict) else {}


def _numbers(told: Any) -> dict[str, float]:
    items = _table(told).items()
    return {name: value for name, value in items if isinstance(value, int | float)}


def _histograms(told: dict[str, Any]) -> dict[str, Buckets]:
    found = {}
    for name, known in metrics.HISTOGRAMS.items():
        bounds, size = list(known.bounds), len(known.counts)
        match told.get(name):
            case {
                "bounds": its,
                "counts": list(counts),
                "sum": float() | int() as total,
            }:
                if its == bounds and len(counts) == size:
                    found[name] = Buckets(bounds, counts, total)
    return found
