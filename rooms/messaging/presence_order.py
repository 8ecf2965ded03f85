"""Removes outdated changes from the presence events of a topic.

Presence changes come from several processes, in any order. A change that arrives
late loses the parts that a later change has already replaced.
"""

from __future__ import annotations

from typing import Final

from presence.state import Diff
from presence.version_log import VersionLog
from rooms.protocol.encoded_event import Delivery

PRESENCE_STATE: Final = "presence_state"


def without_outdated(log: VersionLog, batch: list[Delivery]) -> list[Delivery]:
    """The events without outdated presence changes; the others are added to `log`."""
    kept: list[Delivery] = []
    for delivery in batch:
        rest: Delivery | None = delivery
        if delivery.name == PRESENCE_STATE:
            log.restart_at(delivery.version)
        elif delivery.version and not _is_next(log, delivery):
            changes = delivery.changes()
            if (still := _taken(log, delivery, changes)) != changes:
                rest = delivery.with_changes(still)
        if rest is not None:
            kept.append(rest)
    return kept


def _is_next(log: VersionLog, delivery: Delivery) -> bool:
    return not delivery.more and log.add_next(delivery.versions())


def _taken(log: VersionLog, delivery: Delivery, changes: list[Diff]) -> list[Diff]:
    if delivery.more:
        return [log.add_part(part) for part in changes]
    return log.add(changes)
