"""Fixtures for both kinds of sockets."""

from __future__ import annotations

from typing import Any

import pytest

from beam.telemetry import metrics


@pytest.fixture
def counted() -> Any:
    """How many copies were delivered and dropped since the test began."""
    before = metrics.DELIVERED.value, metrics.DROPPED.value
    return lambda: (
        metrics.DELIVERED.value - before[0],
        metrics.DROPPED.value - before[1],
    )
