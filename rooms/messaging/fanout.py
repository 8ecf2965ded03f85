"""Writes the events of a topic to its local members.

The events are already encoded: see `rooms.protocol.encoded_event`. Consecutive events
that go to every member are joined into one write for each socket.
"""

from __future__ import annotations

from collections.abc import Sequence

from beam.telemetry import metrics
from rooms.messaging.member import Member
from rooms.messaging.outbound import join_prepared
from rooms.messaging.presence_order import PRESENCE_STATE
from rooms.messaging.topic_members import TopicMembers
from rooms.protocol.encoded_event import Delivery
from rooms.protocol.frame import Vsn


def write(topic: TopicMembers, batch: list[Delivery]) -> None:
    """Write the events of a topic to its members, in order."""
    run: list[Delivery] = []
    for delivery in batch:
        if _is_for_all(topic, delivery):
            run.append(delivery)
            continue
        if run:
            _write_to_all(topic, run)
            run = []
        _write_one(topic, delivery)
    if run:
        _write_to_all(topic, run)


def release(member: Member) -> None:
    """End the join of a member: write the events that were held."""
    held, member.held = member.held, None
    if held is None:
        return
    if held.has_overflowed:
        member.overflowed()
        return
    for delivery in held:
        if _is_for(member, delivery):
            _hand_over(member, delivery)


def _is_for_all(topic: TopicMembers, delivery: Delivery) -> bool:
    """Whether every member except the sender gets the same bytes."""
    return (
        delivery.to is None
        and not delivery.without
        and not delivery.version
        and delivery.name not in topic.intercepts
    )


def _write_to_all(topic: TopicMembers, run: Sequence[Delivery]) -> None:
    """Write events to all members except their senders: the same bytes for all."""
    skipped = {delivery.skip for delivery in run if delivery.skip}
    joined: dict[Vsn, bytes] = {}
    metrics.FAN_OUT.observe(len(topic.recipients), len(run))
    for member in list(topic.recipients.values()):
        socket = member.socket
        if member.held is not None:
            member.held.add(run)
        elif member.id in skipped:
            if rest := [delivery for delivery in run if delivery.skip != member.id]:
                socket.deliver(rest, None)
        else:
            vsn = socket.vsn
            if vsn not in joined:
                joined[vsn] = join_prepared(run, vsn)
            socket.deliver(run, joined[vsn])


def _write_one(topic: TopicMembers, delivery: Delivery) -> None:
    """Write an event that has recipients of its own, or that members may know."""
    found = topic.recipients if delivery.to is None else topic.addressed(delivery.to)
    meant = [m for m in found.values() if m.held is not None or _is_for(m, delivery)]
    for member in meant:
        if member.held is None:
            _hand_over(member, delivery)
        elif delivery.name not in member.urgent:
            member.held.add((delivery,))
        elif _is_for(member, delivery):
            member.handle_out(delivery)
    metrics.FAN_OUT.observe(len(meant))


def _is_for(member: Member, delivery: Delivery) -> bool:
    if member.id == delivery.skip:
        return False
    if any(label in delivery.without for label in member.labels):
        return False
    return delivery.to is None or any(label in delivery.to for label in member.labels)


def _hand_over(member: Member, delivery: Delivery) -> None:
    """Give a member an event, or the part of a presence diff that is new to it."""
    if delivery.name == PRESENCE_STATE:
        member.since = delivery.version
    elif delivery.version:
        rest = delivery.after(member.since)
        if rest is None:
            return
        delivery = rest
    if delivery.name in member.intercepts:
        member.handle_out(delivery)
    else:
        member.socket.deliver((delivery,), None)
