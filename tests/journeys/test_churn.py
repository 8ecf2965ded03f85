"""Many joins and leaves in a short time; `make churn` makes 100,000."""

from __future__ import annotations

import pytest

from tests.conftest import Serve
from tests.stress.churn import Churn


@pytest.mark.parametrize(
    ("redis", "joins"),
    [(False, 30_000), pytest.param(True, 6_000, marks=pytest.mark.redis)],
    ids=["in process", "over Redis"],
)
async def test_memory_stays_bounded_over_many_joins_and_leaves(
    beam_server: Serve, request: pytest.FixtureRequest, redis: bool, joins: int
) -> None:
    url = request.getfixturevalue("shared_redis").url if redis else ""
    server = beam_server(REDIS_URL=url)
    lines: list[str] = []

    report = await Churn(server, joins, lines.append).go()

    assert report.joins >= joins
    assert report.good, "\n".join(lines)
