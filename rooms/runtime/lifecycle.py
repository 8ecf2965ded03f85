"""Starts the parts of one process, connects them, and stops them in order."""

from __future__ import annotations

from typing import Any

import orjson
from channels.layers import get_channel_layer

from beam import redis
from beam.config.conf import conf
from beam.loops import per_loop
from presence import factory
from rooms.messaging.background_tasks import background_tasks
from rooms.messaging.connections import DISCONNECT, connections
from rooms.messaging.grace_period import grace_periods
from rooms.messaging.hub import hub
from rooms.messaging.observers import LOGGED_OUT, observers
from rooms.messaging.presence_diffs import diffs
from rooms.monitoring.reporter import reporter
from rooms.protocol.encoded_event import Delivery
from rooms.records.room_overrides import CHANGED
from rooms.records.upkeep import Upkeep
from rooms.runtime.close_again import RoomCloser
from rooms.runtime.coordinator import Coordinator


class Runtime:
    """The parts of one event loop. Connects them in `_connect` and `_coordinate`."""

    def __init__(self, upkeep: Upkeep | None = None) -> None:
        """`upkeep`: the periodic work on the database; tests pass a fake."""
        self._upkeep = Upkeep() if upkeep is None else upkeep
        self._room_closer = RoomCloser(self._upkeep.close_rooms, self._close_again)
        self._coordinator: Coordinator | None = None
        self._is_started = False

    def start(self) -> None:
        """Start all parts. Idempotent. A hub that failed to start is started again."""
        mine = hub()
        if not mine.is_alive:
            background_tasks().spawn(mine.start())
        if self._is_started:
            return
        self._is_started = True
        self._connect()
        reporter().start()
        self._upkeep.start()
        if conf().redis_url:
            self._coordinator = self._coordinate()
            self._coordinator.start()
        else:
            self._close_again()

    async def stop(self) -> None:
        """Stop all parts, each after the parts that use it.

        Members in a grace period stay present until its end; then another process
        removes them.
        """
        await background_tasks().finish()
        await diffs().flush()
        grace = grace_periods().stop()
        self._room_closer.stop()
        self._is_started = False
        if self._coordinator is not None:
            await self._coordinator.stop(grace)
            self._coordinator = None
        await reporter().stop()
        # Late: a database that hangs must not delay the parts before.
        await self._upkeep.stop()
        # Connections that ended during the stop started more.
        await background_tasks().finish()
        await hub().stop()

    @property
    def is_subscribed(self) -> bool:
        """Whether events of other processes arrive, as far as this process knows."""
        return self._coordinator is None or self._coordinator.is_subscribed

    async def closed_rooms_known(self) -> None:
        """Wait until closed rooms refuse joins, at most 2 s."""
        await self._room_closer.known()

    def _connect(self) -> None:
        control = hub().control
        control.register(DISCONNECT, connections().disconnect)
        control.register(LOGGED_OUT, observers().log_out)
        control.register(CHANGED, self._on_overrides_changed)

    def _coordinate(self) -> Coordinator:
        layer: Any = get_channel_layer()
        layer = layer.loop_layer() if hasattr(layer, "loop_layer") else layer
        tracker, leases = factory.shared()
        publish, closer = diffs().publish, self._room_closer
        redis.link().add_down_listener(self._note_gap)
        if hasattr(layer, "add_gap_listener"):
            layer.add_gap_listener(self._note_gap)
        return Coordinator(tracker, leases, layer, publish, closer)

    def _note_gap(self) -> None:
        if self._coordinator is not None:
            self._coordinator.note_gap()

    def _close_again(self) -> None:
        if self._coordinator is None:
            background_tasks().spawn(self._room_closer.apply())
        else:
            # The coordinator handles a Redis that is unavailable then.
            self._coordinator.renew_soon()

    def _on_overrides_changed(self, delivery: Delivery) -> None:
        changes = orjson.loads(delivery.payload)
        background_tasks().spawn(self._upkeep.overrides_changed(changes))


@per_loop
def runtime() -> Runtime:
    """The running loop's runtime."""
    return Runtime()
