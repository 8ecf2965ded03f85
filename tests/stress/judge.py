"""Judges a stress run: checks every promise of Beam against the ledger.

A message that Beam answered with ok reaches every other member once, in the order of
its connection. It may be lost only in an outage, and then the member is notified: by
`beam_gap`, or by the end of its membership.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace

from tests.stress.ledger import STEADY_SECONDS, Ledger, Membership, Message, Outage

# A message that is on its way when a membership ends may be lost.
IN_FLIGHT_SECONDS = 2.0
# A gap is announced within this time. A member that leaves before may miss it.
ANNOUNCE_SECONDS = 10.0


@dataclass
class Verdict:
    """What was counted, and which promises were broken."""

    counts: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)


def judge(ledger: Ledger, settle: float, refuse: float) -> Verdict:
    """Check every promise.

    `settle`: the seconds after an outage that belong to it. `refuse`: the seconds
    within which a push is refused if Redis is unavailable.
    """
    verdict = Verdict()
    rooms: dict[str, list[Message]] = defaultdict(list)
    for message in ledger.messages:
        verdict.counts[_outcome(message)] += 1
        rooms[message.room].append(message)
    for messages in rooms.values():
        messages.sort(key=lambda message: message.at)
    known = {message.key: message for message in ledger.messages}
    outages = [replace(outage, over=outage.over + settle) for outage in ledger.outages]
    _judge_refusals(ledger.messages, outages, refuse, verdict)
    for membership in ledger.memberships:
        _judge_order(membership, known, verdict)
        _judge_losses(membership, rooms[membership.room], known, outages, verdict)
        _judge_gaps(membership, outages, verdict)
    _judge_flicker(ledger.memberships, outages, verdict)
    return verdict


def _outcome(message: Message) -> str:
    """The line of the report in which a message counts."""
    if message.status in ("", "ok", "timed out"):
        return f"messages: {message.status or 'never answered'}"
    return f"messages refused: {message.status}"


def _judge_refusals(
    messages: list[Message], outages: list[Outage], limit: float, verdict: Verdict
) -> None:
    """A push is refused only in an outage of Redis, and at once."""
    for message in messages:
        if message.status in ("", "ok", "timed out"):
            continue
        assert message.answered is not None
        during = [outage for outage in outages if outage.covers(message.at)]
        if not any(outage.loses for outage in during):
            verdict.broken.append(f"refused without an outage: {message}")
        # A stopped process answers when it continues.
        elif message.answered - message.at > limit and all(o.loses for o in during):
            verdict.broken.append(f"refused late: {message}")


def _judge_order(
    membership: Membership, known: dict[tuple[str, int], Message], verdict: Verdict
) -> None:
    """Messages arrive once, in the order of their sender, and only where addressed."""
    last: dict[str, int] = {}
    for received in membership.received:
        verdict.counts["deliveries"] += 1
        message = known.get((received.sender, received.seq))
        where = f"{membership.session} in {membership.room}: {received}"
        if message is None or message.room != membership.room:
            verdict.broken.append(f"never sent to this room: {where}")
        elif message.to not in (None, membership.session):
            verdict.broken.append(f"addressed to {message.to} only: {where}")
        before = last.get(received.sender, -1)
        if received.seq == before:
            verdict.broken.append(f"received twice: {where}")
        elif received.seq < before:
            verdict.broken.append(f"received out of order, after {before}: {where}")
        last[received.sender] = max(before, received.seq)


def _judge_losses(
    membership: Membership,
    messages: list[Message],
    known: dict[tuple[str, int], Message],
    outages: list[Outage],
    verdict: Verdict,
) -> None:
    ended = float("inf") if membership.ended is None else membership.ended
    times = [message.at for message in messages]
    first, last = bisect_left(times, membership.joined), bisect_right(times, ended)
    received = {(sender, seq) for _, sender, seq in membership.received}
    latest = max((known[key].at for key in received if key in known), default=0.0)
    for message in messages[first:last]:
        if (
            message.status == "ok"
            and message.session != membership.session
            and message.to in (None, membership.session)
            and message.key not in received
        ):
            fate = _fate(membership, message, latest, outages)
            verdict.counts[fate] += 1
            if fate == "lost":
                verdict.broken.append(
                    f"lost: {message} to {membership.session}, joined"
                    f" {membership.joined}, {membership.how} {membership.ended},"
                    f" gaps {membership.gaps}"
                )


def _fate(
    membership: Membership, message: Message, latest: float, outages: list[Outage]
) -> str:
    """Why a member did not get a message."""
    assert message.answered is not None
    during = [outage for outage in outages if outage.covers(message.at)]
    if membership.ended is not None and latest <= message.answered:
        if membership.ended - message.answered < IN_FLIGHT_SECONDS:
            return "lost with the end of the membership"
        if during:
            return "lost in an outage, announced by the membership's end"
    for outage in during:
        if outage.loses and any(
            message.at <= gap <= outage.over for gap in membership.gaps
        ):
            return "lost in an outage, announced by beam_gap"
    if _ended_before(membership, message, during):
        return "lost in an outage, left before beam_gap was due"
    return "lost"


def _ended_before(
    membership: Membership, message: Message, during: list[Outage]
) -> bool:
    """Whether a member ended before the gap of an outage had to be announced."""
    if membership.ended is None or message.answered is None:
        return False
    is_early = membership.ended - message.answered < ANNOUNCE_SECONDS
    return is_early and any(outage.loses for outage in during)


def _judge_gaps(
    membership: Membership, outages: list[Outage], verdict: Verdict
) -> None:
    """`beam_gap` is sent only in an outage that loses messages."""
    for gap in membership.gaps:
        verdict.counts["beam_gap received"] += 1
        if not any(outage.loses and outage.covers(gap) for outage in outages):
            verdict.broken.append(
                f"a gap without an outage: {membership.session}"
                f" in {membership.room}, {gap}"
            )


def _judge_flicker(
    memberships: list[Membership], outages: list[Outage], verdict: Verdict
) -> None:
    """A connected member seems to leave only in an outage.

    All clients agreed before the next outage began: a leave belongs to the last outage
    that began before it.
    """
    by_session: dict[tuple[str, str], list[Membership]] = defaultdict(list)
    for membership in memberships:
        by_session[membership.room, membership.session].append(membership)
    for observer in memberships:
        for at, session in observer.gone:
            if not any(_spans(one, at) for one in by_session[observer.room, session]):
                verdict.counts["leaves seen"] += 1
                continue
            last = max(
                (outage for outage in outages if outage.covers(at)),
                key=lambda outage: outage.start,
                default=None,
            )
            if last is not None and not last.steady:
                verdict.counts["leaves seen of connected members, in an outage"] += 1
                verdict.counts[f"  of these: {last.kind}"] += 1
            else:
                kind = "no outage" if last is None else last.kind
                verdict.broken.append(
                    f"{session} seemed to leave {observer.room} at {at} ({kind}),"
                    f" as {observer.session} saw it"
                )


def _spans(membership: Membership, at: float) -> bool:
    """Whether it lasted from well before until well after a time."""
    ended = float("inf") if membership.ended is None else membership.ended
    return membership.joined + STEADY_SECONDS < at < ended - STEADY_SECONDS
