"""Presence events lose the changes that later ones have replaced."""

from __future__ import annotations

import json
from typing import Any

from presence.state import Diff, State
from presence.version_log import VersionLog
from rooms.messaging.presence_order import PRESENCE_STATE, without_outdated
from rooms.protocol.encoded_event import Delivery, pack
from rooms.protocol.event import Event, presence_diff


def state(ref: str) -> State:
    return {"ada:1": {"metas": [{"phx_ref": ref}]}}


def diff(*changes: Diff) -> Delivery:
    event = presence_diff("t", changes)
    assert event is not None
    return Delivery(pack(event))


def payloads(batch: list[Delivery]) -> list[Any]:
    return [json.loads(delivery.payload) for delivery in batch]


def test_changes_in_order_are_kept_as_they_are() -> None:
    log = VersionLog()
    log.start_at(4)
    batch = [diff(Diff(state("r"), {}, 5)), diff(Diff({}, state("r"), 6))]

    assert without_outdated(log, batch) == batch
    assert log.known == 6


def test_a_join_that_arrives_after_its_leave_is_dropped() -> None:
    log = VersionLog()
    log.start_at(4)
    joined, left = diff(Diff(state("r"), {}, 5)), diff(Diff({}, state("r"), 6))

    kept = without_outdated(log, [left, joined])

    assert kept == [left]
    assert log.known == 6


def test_a_late_change_keeps_what_no_later_change_has_replaced() -> None:
    log = VersionLog()
    log.start_at(4)
    both: State = {"ada:1": {"metas": [{"phx_ref": "r"}, {"phx_ref": "s"}]}}
    joined, left = diff(Diff(both, {}, 5)), diff(Diff({}, state("r"), 6))

    kept = without_outdated(log, [left, joined])

    assert payloads(kept)[1] == {"joins": state("s"), "leaves": {}}


def test_a_fresh_state_restarts_the_log() -> None:
    log = VersionLog()
    log.start_at(9)
    event = Event(topic="t", name=PRESENCE_STATE, payload={}, version=3)
    batch = [Delivery(pack(event)), diff(Diff(state("r"), {}, 4))]

    assert without_outdated(log, batch) == batch
    assert log.known == 4


def test_other_events_are_not_touched() -> None:
    batch = [Delivery(pack(Event(topic="t", name="msg", payload={})))]

    assert without_outdated(VersionLog(), batch) == batch
