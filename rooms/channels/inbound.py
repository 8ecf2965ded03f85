"""Owns the messages of one client that wait: applies `inbound_rate`, pauses reading."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING

from beam.config.conf import conf
from beam.telemetry import metrics
from rooms.channels.channel_task import TURN
from rooms.messaging.channel_queue import Message, weigh
from rooms.protocol.rate_limit import RateLimit

if TYPE_CHECKING:
    from rooms.channels.socket_channels import SocketChannels

UNIT_BYTES = 1_024
"""Bytes of a message for each unit of `inbound_rate` above the first."""


class Inbound:
    """The messages of one client, in order; behind a join they wait.

    `waiting`: bytes of the messages that wait here and in the channels. Above
    `inbound_limit` the client is paused, until half of that is left.
    """

    __slots__ = (
        "_channels",
        "_is_closed",
        "_is_held",
        "_is_paused",
        "_limit",
        "_messages",
        "_rate",
        "waiting",
    )

    def __init__(self, channels: SocketChannels) -> None:
        """`channels`: take the messages, one at a time."""
        self._channels = channels
        self._limit = conf().inbound_limit
        self._rate = RateLimit(conf().inbound_rate, conf().inbound_burst)
        # A list: an empty deque takes 700 bytes.
        self._messages: list[Message] = []
        self._is_closed = self._is_held = self._is_paused = False
        self.waiting = 0

    def receive(self, data: Message) -> float:
        """Take one message of the client: see `rooms.messaging.outbound.Receiver`."""
        if self._is_closed:
            return 0.0
        if self._is_held or self._messages:
            self._messages.append(data)
            self.waiting += weigh(data)
        else:
            self._channels.receive(data)
        wait = self._rate.spend(1 + len(data) // UNIT_BYTES, time.monotonic())
        if self.waiting > self._limit:
            if not self._is_paused:
                metrics.PAUSED.value += 1
            self._is_paused = True
            return math.inf
        if wait:
            metrics.SLOWED.value += 1
        return wait

    def spend(self, units: int) -> None:
        """Count units of the client's rate in addition to those of its messages."""
        self._rate.spend(units, time.monotonic())

    def add_waiting(self, size: int) -> None:
        """So many more bytes of the client's messages wait, or fewer (below 0)."""
        self.waiting += size
        if self._is_paused and self.waiting <= self._limit // 2:
            self._resume()

    def hold(self) -> None:
        """Let messages wait until `release`: a join is under way."""
        self._is_held = True

    def release(self) -> None:
        """Handle the messages that came during the join."""
        self._is_held = False
        self._work_off()

    def close(self) -> None:
        """Drop what waits; further messages are ignored."""
        self._is_closed = True
        metrics.MESSAGES_DROPPED.value += len(self._messages)
        self._messages.clear()
        if self._is_paused:
            self._resume()

    def _resume(self) -> None:
        self._is_paused = False
        self._channels.socket.resume()

    def _work_off(self) -> None:
        """Handle what waits, at most a turn's worth before other clients' messages."""
        for _ in range(TURN):
            if not self._messages or self._is_held:
                return
            data = self._messages.pop(0)
            self.add_waiting(-weigh(data))
            self._channels.receive(data)
        if self._messages and not self._is_held:
            asyncio.get_running_loop().call_soon(self._work_off)
