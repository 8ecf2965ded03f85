"""The statistics that the processes of one host share."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import orjson
import pytest

from beam.telemetry import metrics
from rooms.messaging.connections import connections
from rooms.monitoring import process_stats
from rooms.monitoring.host_stats import OLD_SECONDS, STALE_SECONDS, HostProcesses
from rooms.monitoring.reporter import Reporter

pytestmark = pytest.mark.usefixtures("running_hub")


def joined(folder: Path, number: int) -> HostProcesses:
    """The process with this number."""
    found = HostProcesses()
    found.join(folder, number)
    return found


async def test_a_process_alone_returns_its_current_statistics() -> None:
    before = HostProcesses().all_stats()["1"].counters["joins"]

    metrics.JOINS.value += 1

    assert HostProcesses().all_stats()["1"].counters["joins"] == before + 1


async def test_processes_of_a_host_see_each_other(tmp_path: Path) -> None:
    first, second = joined(tmp_path, 1), joined(tmp_path, 2)
    assert set(first.all_stats()) == {"1"}

    second.write(process_stats.current())

    assert set(first.all_stats()) == {"1", "2"}
    assert set(second.all_stats()) == {"2"}


async def test_every_process_returns_the_same(tmp_path: Path) -> None:
    both = joined(tmp_path, 1), joined(tmp_path, 2)
    for one in both:
        one.write(process_stats.current())

    metrics.JOINS.value += 1

    first, second = (one.all_stats() for one in both)
    assert first == second


async def test_statistics_are_read_as_they_were_written(tmp_path: Path) -> None:
    metrics.LATENCY.observe(0.003)
    first, second = joined(tmp_path, 1), joined(tmp_path, 2)
    own = process_stats.current()

    first.write(own)

    assert second.all_stats()["1"] == own


async def test_a_process_with_old_statistics_is_gone(tmp_path: Path) -> None:
    first, second = joined(tmp_path, 1), joined(tmp_path, 2)
    old = process_stats.current()
    old.at -= STALE_SECONDS + 1

    second.write(old)

    assert set(first.all_stats()) == {"1"}


async def test_a_process_that_drains_is_listed_with_its_successor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, other = joined(tmp_path, 1), joined(tmp_path, 1), joined(tmp_path, 2)
    old.write(process_stats.current())
    started = process_stats.current()
    started.gauges["start_time_seconds"] += 60
    new.write(started)

    connections().drain()
    old.write(process_stats.current())

    stats = other.all_stats()
    assert {"1", "1-old"} <= set(stats)
    assert stats["1"].gauges["draining"] == 0
    assert stats["1-old"].gauges["draining"] == 1


async def test_a_process_that_drains_without_a_successor_is_listed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = joined(tmp_path, 1)
    old.write(process_stats.current())
    assert set(old.all_stats()) == {"1"}

    connections().drain()
    old.write(process_stats.current())

    assert set(old.all_stats()) == {"1-old"}
    old.write(process_stats.current())
    assert set(old.all_stats()) == {"1-old"}


@pytest.mark.parametrize(("passed", "is_listed"), [(-1, True), (1, False)])
async def test_the_last_statistics_of_a_drained_process_stay_for_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passed: int, is_listed: bool
) -> None:
    old, other = joined(tmp_path, 1), joined(tmp_path, 2)
    connections().drain()
    last = process_stats.current()
    last.at -= OLD_SECONDS + passed

    old.write(last)

    assert ("1-old" in other.all_stats()) == is_listed


@pytest.mark.django_db(transaction=True)
async def test_a_process_writes_its_last_statistics_at_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = joined(tmp_path, 1), joined(tmp_path, 2)
    monkeypatch.setattr("rooms.monitoring.reporter.host_processes", mine)
    reporter = Reporter()
    reporter.start()
    metrics.CLOSED.value += 1

    await reporter.stop()

    assert other.all_stats()["1"].counters["connections_closed"] == metrics.CLOSED.value


async def test_known_statistics_of_another_version_are_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = joined(tmp_path, 1)
    stats = asdict(process_stats.current())
    stats["counters"] = {"joins": 7, "unknown": 1, "frames_in": "many"}
    stats |= {"gauges": None, "more": {}}
    latency = stats["histograms"]["delivery_latency_seconds"]
    latency["bounds"], latency["counts"] = latency["bounds"][1:], latency["counts"][1:]
    del stats["reasons"]
    (tmp_path / "2.json").write_bytes(orjson.dumps(stats))

    found = first.all_stats()["2"]

    assert found.counters["joins"] == 7
    assert "frames_in" not in found.counters
    assert found.gauges == {}
    assert set(found.histograms) == {"fan_out_members"}
    assert caplog.text == ""


@pytest.mark.parametrize(
    "histogram",
    [
        [1, 2, 3],
        {"bounds": [0.1], "counts": [1, 2], "sum": 1.0},
        {"bounds": list(metrics.LATENCY.bounds), "counts": [1, 2], "sum": 1.0},
        {"bounds": list(metrics.LATENCY.bounds)},
        None,
    ],
)
async def test_an_unknown_histogram_is_left_out(
    tmp_path: Path, histogram: object
) -> None:
    stats = {
        "at": process_stats.current().at,
        "histograms": {metrics.LATENCY.name: histogram},
    }
    (tmp_path / "2.json").write_bytes(orjson.dumps(stats))

    assert joined(tmp_path, 1).all_stats()["2"].histograms == {}


@pytest.mark.parametrize("text", [b"", b"[]", b'{"at": "noon"}', b"{}", b"\xff"])
async def test_invalid_statistics_are_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: bytes
) -> None:
    first = joined(tmp_path, 1)
    (tmp_path / "2.json").write_bytes(text)
    (tmp_path / "3.json").write_bytes(text)

    for _ in range(3):
        assert set(first.all_stats()) == {"1"}

    assert caplog.text.count("Cannot read the statistics of process 2") == 1
    assert caplog.text.count("Cannot read the statistics of process 3") == 1


async def test_a_missing_folder_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = joined(tmp_path / "gone", 1)

    for _ in range(3):
        first.write(process_stats.current())

    assert caplog.text.count("Cannot share the statistics") == 1
    assert set(first.all_stats()) == {"1"}
