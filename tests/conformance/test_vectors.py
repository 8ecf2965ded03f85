"""Every vector of the profiles `phoenix` and `beam`, against running servers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.matching import Mismatch, match
from tests.conformance.replay import Replay
from tests.processes import RedisServer, Server, serve

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())["vectors"]

# Vectors that Beam answers otherwise, on purpose: id -> why. None so far.
DISPUTED: dict[str, str] = {}


@pytest.fixture(scope="module")
def in_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The fixture, served in process."""
    with serve(tmp_path_factory.mktemp("fixture"), "conformance") as server:
        yield server


@pytest.fixture(scope="module")
def over_redis(
    tmp_path_factory: pytest.TempPathFactory, shared_redis: RedisServer
) -> Iterator[Server]:
    """The fixture, served over Redis."""
    folder = tmp_path_factory.mktemp("fixture")
    with serve(folder, "conformance", REDIS_URL=shared_redis.url) as server:
        yield server


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["id"]))
@pytest.mark.parametrize(
    "where", ["in_process", pytest.param("over_redis", marks=pytest.mark.redis)]
)
async def test_the_server_answers_as_the_vector_says(
    vector: dict[str, Any], where: str, request: pytest.FixtureRequest
) -> None:
    if vector["id"] in DISPUTED:
        pytest.skip(DISPUTED[vector["id"]])
    server = request.getfixturevalue(where)

    await Replay(server.url).run(vector)


def test_no_vector_is_missing() -> None:
    profiles = [vector["profile"] for vector in VECTORS]

    assert (profiles.count("phoenix"), profiles.count("beam")) == (67, 10)
    assert set(DISPUTED) <= {vector["id"] for vector in VECTORS}


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        (1, "1"),
        (1, True),
        ([1], [1, 2]),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"$partial": {"a": 1}}, {"b": 1}),
        ({"$regex": "^a$"}, "b"),
        ({"$string": True}, 5),
        ({"$any_of": [1, 2]}, 3),
        ({"$b64": "AA=="}, b"\x01"),
        ([{"$capture": "x"}, {"$ref": "x"}], [1, 2]),
    ],
)
def test_the_matchers_can_fail(pattern: Any, value: Any) -> None:
    with pytest.raises(Mismatch):
        match(pattern, value, {}, "$")
