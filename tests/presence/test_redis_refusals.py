"""Redis refuses a command in a script: no entry is lost, and none stays too long."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from beam import redis
from presence.cluster import Cluster
from presence.leases import Leases
from presence.redis_tracker import RedisTracker
from presence.state import Diff
from presence.tracker import NotTracked
from tests.processes import (
    RedisServer,
    find_old_redis,
    find_redis,
    find_valkey,
    redis_server,
)

pytestmark = pytest.mark.redis

TOPIC = "room:refused"
WRITES = ["hset", "hdel", "hincrby", "incr", "set", "persist", "expire", "zadd"]


@pytest.fixture(scope="module", params=[find_redis, find_old_redis, find_valkey])
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """Each kind of Redis that Beam runs on."""
    find: Callable[[], str] = request.param
    with redis_server(find()) as server:
        yield server


class Process:
    """A process whose rights in Redis can be removed and restored."""

    def __init__(self, server: RedisServer) -> None:
        prefix = f"test{secrets.token_hex(4)}"
        self.user = prefix
        login = server.url.replace("//", f"//{prefix}:pw@")
        self.admin: Any = redis.connect(server.url)
        self.client: Any = redis.connect(login)
        self.link = redis.Link()
        batch = redis.Batch(self.client, self.link)
        self.leases = Leases(batch, prefix, 10.0, 3.0)
        self.tracker = RedisTracker(batch, prefix, lambda: self.leases.process)
        self.published: list[Diff] = []
        self.cluster = Cluster(
            self.tracker, self.leases, lambda _, change: self.published.append(change)
        )

    async def may(self, *rules: str) -> None:
        """Change the rights, as `ACL SETUSER` describes them."""
        await self.admin.execute_command("ACL", "SETUSER", self.user, *rules)

    async def recover(self, *rules: str) -> None:
        """Redis accepts again, and the process does what `rooms.runtime` does then."""
        await self.may(*rules)
        self.link.answered()
        await self.cluster.renew({})
        await self.cluster.reconcile()

    async def members(self) -> dict[str, Any]:
        """Session -> `n` of its metas. Checks that the sizes agree."""
        state = (await self.tracker.list(TOPIC)).state
        [size] = await self.tracker.sizes([TOPIC])
        users = {session.split(":")[0] for session in state}
        assert tuple(size) == (len(state), len(users))
        return {
            session: [meta["n"] for meta in presence["metas"]]
            for session, presence in state.items()
        }


@pytest.fixture
async def process(server: RedisServer, settings: Settings) -> AsyncIterator[Process]:
    """A process that has one member, `ada:1`."""
    settings.BEAM = settings.BEAM | {"redis_url": server.url}
    process = Process(server)
    await process.may("on", ">pw", "~*", "&*", "+@all")
    await process.cluster.renew({})
    await process.tracker.track(TOPIC, "ada:1", {"n": 1}, "ada")
    yield process
    await process.may("reset")
    await process.client.aclose()
    await process.admin.aclose()


@pytest.mark.parametrize("command", WRITES)
async def test_a_script_that_is_refused_in_the_middle_is_corrected(
    process: Process, command: str
) -> None:
    tracker = process.tracker
    bob = await tracker.track(TOPIC, "bob:1", {"n": 2}, "bob")
    cat = await tracker.track(TOPIC, "cat:1", {"n": 3}, "cat")
    dan = await tracker.track(TOPIC, "dan:1", {"n": 4}, "dan")
    eve = await tracker.track(TOPIC, "eve:1", {"n": 5}, "eve")
    await tracker.leave(TOPIC, eve.ref)
    await process.may(f"-{command}")
    metas = {"bob:1": [2]}

    done = await asyncio.gather(
        tracker.update(TOPIC, bob.ref, {"n": 20}),
        tracker.track(TOPIC, "fay:1", {"n": 6}, "fay"),
        tracker.untrack(TOPIC, [cat.ref]),
        tracker.leave(TOPIC, dan.ref),
        tracker.expire(TOPIC, eve.ref),
        return_exceptions=True,
    )
    updated, tracked, _, left, _ = done
    if not isinstance(updated, BaseException):
        metas["bob:1"] = [20]
    if not isinstance(tracked, BaseException):
        metas["fay:1"] = [6]
    if not isinstance(left, BaseException):
        # Its grace period has begun.
        metas["dan:1"] = [4]
    await process.recover(f"+{command}")

    assert await process.members() == {"ada:1": [1]} | metas
    if process.link.up and not isinstance(left, BaseException):
        await tracker.expire(TOPIC, dan.ref)
        assert "dan:1" not in await process.members()


async def test_a_refusal_in_a_script_marks_redis_as_unavailable(
    process: Process,
) -> None:
    await process.may("-hset")

    with pytest.raises(redis.Unavailable):
        await process.tracker.track(TOPIC, "bob:1", {"n": 2}, "bob")

    assert (process.link.up, process.link.why) == (False, "refuses commands: NOPERM")


async def test_a_cancelled_join_leaves_no_entry(process: Process) -> None:
    joining = asyncio.create_task(
        process.tracker.track(TOPIC, "bob:1", {"n": 2}, "bob")
    )
    await asyncio.sleep(0)

    joining.cancel()
    await asyncio.gather(joining, return_exceptions=True)
    await process.cluster.renew({})

    assert await process.members() == {"ada:1": [1]}


async def test_a_member_that_redis_lost_is_restored_after_a_failed_update(
    process: Process,
) -> None:
    bob = await process.tracker.track(TOPIC, "bob:1", {"n": 2}, "bob")
    await process.client.delete(*process.tracker.keys(TOPIC))

    with pytest.raises(NotTracked):
        await process.tracker.update(TOPIC, bob.ref, {"n": 3})
    await process.cluster.renew({})

    assert await process.members() == {"ada:1": [1], "bob:1": [2]}


async def test_a_process_whose_lease_may_have_expired_adds_no_entry(
    process: Process,
) -> None:
    def check() -> None:
        raise redis.NotSent("this process has not renewed its lease")

    late = RedisTracker(
        redis.Batch(process.client, process.link),
        process.user,
        lambda: process.leases.process,
        check,
    )

    with pytest.raises(redis.NotSent):
        await late.track(TOPIC, "bob:1", {"n": 2}, "bob")

    assert late.topics() == []
    assert await process.members() == {"ada:1": [1]}
