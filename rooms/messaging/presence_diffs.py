"""Owns the presence diffs that wait to be sent, by topic.

A thousand joins into one room would be a million diffs. The first change of a topic
is sent at once; changes that follow within `presence_window` are sent as one diff.
"""

from __future__ import annotations

import asyncio
from itertools import chain

from beam.config.conf import conf
from beam.loops import per_loop
from presence.state import Diff
from rooms.messaging import publisher
from rooms.protocol.presence_parts import presence_diffs


class Diffs:
    """The open windows of one event loop, each with the diffs that wait."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, list[Diff]] = {}

    def publish(self, topic: str, change: Diff) -> None:
        """Send a diff to the members of a topic, now or with the next ones."""
        if not change:
            return
        if topic in self._waiting:
            self._waiting[topic].append(change)
            return
        if conf().presence_window > 0:
            self._open(topic)
        self._send(topic, [change])

    def _open(self, topic: str) -> None:
        self._waiting[topic] = []
        self._loop.call_later(conf().presence_window, self._close, topic)

    def _close(self, topic: str) -> None:
        parts = self._waiting.pop(topic, [])
        if parts:
            self._open(topic)
            self._send(topic, parts)

    def _send(self, topic: str, parts: list[Diff]) -> list[publisher.Sent]:
        # They may have arrived in another order than that of the changes.
        changes = sorted(parts, key=lambda part: part.version)
        events = presence_diffs(topic, changes, conf().max_presence_frame_bytes)
        return [*filter(None, map(publisher.publish, events))]

    async def flush(self) -> None:
        """Send all diffs that wait. Returns when the layer took or refused them."""
        waiting, self._waiting = self._waiting, {}
        sent = [self._send(topic, parts) for topic, parts in waiting.items() if parts]
        await asyncio.gather(*chain.from_iterable(sent), return_exceptions=True)


@per_loop
def diffs() -> Diffs:
    """The running loop's windows."""
    return Diffs()
