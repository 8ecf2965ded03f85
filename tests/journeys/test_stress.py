"""A short stress run: `make stress SECONDS=120` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.processes import find_faketime, find_old_redis
from tests.stress.run import Run


@pytest.mark.redis
async def test_every_promise_is_kept_under_failures(tmp_path: Path) -> None:
    find_old_redis()
    find_faketime()
    lines: list[str] = []

    report = await Run(tmp_path, 12.0, "ci", lines.append).go()

    assert report.broken == [], "\n".join([*lines, report.table()])
    assert report.counts["deliveries"] > 5_000
    assert len(report.outages) >= 2
