"""Log lines that clients cause: each one at a low rate, else a summary."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from beam.telemetry import log_summary
from beam.telemetry.log_summary import Tally
from tests.clients import until

logger = logging.getLogger(__name__)
Clock = Callable[[float], None]


@pytest.fixture
def ends(caplog: pytest.LogCaptureFixture) -> Tally:
    """A limit of three lines per second."""
    caplog.set_level(logging.DEBUG, __name__)
    return Tally(logger, "connections ended", most=3)


def end(ends: Tally, count: int, reason: str = "lost") -> None:
    """End that many connections."""
    for _ in range(count):
        ends.log(reason, "Connection of %s ended: %s", "ada", reason)


def written(caplog: pytest.LogCaptureFixture, level: int = logging.INFO) -> list[str]:
    """The lines of this level since the last call."""
    written_lines = [one.getMessage() for one in caplog.records if one.levelno == level]
    caplog.clear()
    return written_lines


def test_at_a_low_rate_each_has_a_line(
    ends: Tally, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    for _ in range(10):
        end(ends, 3)
        clock(1.0)

    assert written(caplog) == ["Connection of ada ended: lost"] * 30


async def test_a_flood_is_summed_up_by_reason(
    ends: Tally, caplog: pytest.LogCaptureFixture
) -> None:
    end(ends, 5_000)
    end(ends, 20, "idle")

    await until(lambda: "more connections ended" in caplog.text)
    [summary] = [r for r in caplog.records if "count" in vars(r)]
    written_lines = written(caplog)
    assert written_lines[:3] == ["Connection of ada ended: lost"] * 3
    text = "5,017 more connections ended within 1 s: 4,997 lost, 20 idle"
    assert written_lines[3:] == [text]
    assert vars(summary)["reasons"] == {"lost": 4_997, "idle": 20}


def test_at_the_level_debug_each_line_of_a_flood_is_written(
    ends: Tally, caplog: pytest.LogCaptureFixture
) -> None:
    end(ends, 100)

    assert len(written(caplog, logging.DEBUG)) == 97


def test_a_flood_that_lasts_has_one_line_per_second(
    ends: Tally, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    for _ in range(60):
        end(ends, 40)
        clock(1.001)
    end(ends, 1)

    written_lines = written(caplog)
    assert len(written_lines) == 3 + 60
    assert sum(int(line.split()[0]) for line in written_lines[3:]) == 60 * 40 - 3
    clock(1.001)
    end(ends, 1)
    # The flood is over, and nothing is missing.
    assert written(caplog) == [
        "1 more connections ended within 1 s: 1 lost",
        "Connection of ada ended: lost",
    ]


def test_the_summary_is_written_at_the_end(
    ends: Tally, caplog: pytest.LogCaptureFixture
) -> None:
    end(ends, 5)

    log_summary.flush()
    log_summary.flush()

    written_lines = written(caplog)
    assert written_lines[3:] == ["2 more connections ended within 1 s: 2 lost"]
