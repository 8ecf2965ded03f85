"""The runtime starts its parts once, and stops them."""

from __future__ import annotations

import asyncio

from rooms.messaging.background_tasks import background_tasks
from rooms.messaging.connections import disconnect_event
from rooms.messaging.hub import Hub, hub
from rooms.protocol.encoded_event import pack
from rooms.protocol.event import Event
from rooms.runtime import Runtime, runtime
from tests.clients import connected, until
from tests.fakes import IdleUpkeep


class CountedUpkeep(IdleUpkeep):
    """Upkeep that logs its starts and stops."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[str] = []

    def start(self) -> None:
        self.log.append("start")

    async def stop(self) -> None:
        self.log.append("stop")


async def test_a_runtime_starts_its_parts_once(running_hub: Hub) -> None:
    upkeep = CountedUpkeep()
    mine = runtime.put(Runtime(upkeep))

    mine.start()
    mine.start()

    assert upkeep.log == ["start"]


async def test_a_runtime_that_was_stopped_starts_again(running_hub: Hub) -> None:
    upkeep = CountedUpkeep()
    mine = runtime.put(Runtime(upkeep))

    mine.start()
    await mine.stop()
    mine.start()

    assert upkeep.log == ["start", "stop", "start"]
    await until(lambda: hub().is_alive)


async def test_every_start_starts_a_hub_that_is_not_alive(
    running_hub: Hub,
) -> None:
    runtime().start()
    await running_hub.stop()

    runtime().start()
    await background_tasks().finish()

    assert running_hub.is_alive


async def test_a_stop_waits_for_background_tasks(running_hub: Hub) -> None:
    done = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0.01)
        done.set()

    background_tasks().spawn(work())
    await runtime().stop()

    assert done.is_set()
    assert not running_hub.is_alive


async def test_a_stop_waits_for_background_tasks_that_start_during_it(
    running_hub: Hub,
) -> None:
    done = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0.01)
        done.set()

    class LateUpkeep(CountedUpkeep):
        async def stop(self) -> None:
            background_tasks().spawn(work())

    await runtime.put(Runtime(LateUpkeep())).stop()

    assert done.is_set()


async def test_an_event_of_the_control_topic_closes_the_connections_of_a_user(
    running_hub: Hub,
) -> None:
    ada, bob = await connected("ada", "bob")

    running_hub.deliver(pack(disconnect_event("ada")))

    assert (await ada.wire.receive_output(1))["code"] == 1001
    running_hub.deliver(pack(Event(topic="$beam", name="unknown", payload={})))
    await bob.join("r")


async def test_without_redis_a_process_counts_as_subscribed(
    running_hub: Hub,
) -> None:
    runtime().start()

    assert runtime().is_subscribed
