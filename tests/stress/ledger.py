"""The messages that were sent and received, and a check of the promises.

A message that Beam answered with ok reaches every other member once, in the order
of its connection. It may be lost only in an outage, which is then announced to the
member: by `beam_gap`, or by the end of its socket.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import NamedTuple

# A message on its way when a membership ends may be lost with it.
IN_FLIGHT_SECONDS = 2.0
# A cut is noticed shortly after the lost messages were answered.
BEFORE_SECONDS = 0.5
# A gap is announced by then: a member that leaves earlier may not receive it.
ANNOUNCE_SECONDS = 10.0
# How long it may take until all members have seen a join or an end.
STEADY_SECONDS = 1.5


@dataclass(slots=True)
class Message:
    """One push. `sender`: the connection; its order is promised."""

    sender: str
    seq: int
    room: str
    session: str
    at: float
    to: str | None = None
    answered: float | None = None
    status: str = ""

    @property
    def key(self) -> tuple[str, int]:
        """What identifies it for a receiver."""
        return self.sender, self.seq


class Received(NamedTuple):
    """A message as it arrived."""

    at: float
    sender: str
    seq: int


@dataclass(slots=True)
class Membership:
    """One join of one client, from its reply to its end. `how`: left, closed."""

    room: str
    session: str
    joined: float
    received: list[Received] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    gone: list[tuple[float, str]] = field(default_factory=list)
    ended: float | None = None
    how: str = ""


@dataclass(slots=True)
class Outage:
    """A disturbance. `loses`: messages to sockets that stay open may be lost.

    `steady`: no member that stays connected may seem to leave. `over`: when all
    clients agree again.
    """

    kind: str
    start: float
    loses: bool
    steady: bool = False
    over: float = float("inf")

    def covers(self, at: float) -> bool:
        """Whether a time is within it."""
        return self.start - BEFORE_SECONDS <= at <= self.over


@dataclass
class Ledger:
    """Everything that happened. `latest`: the last join of a session in a room."""

    messages: list[Message] = field(default_factory=list)
    memberships: list[Membership] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    latest: dict[tuple[str, str], Membership] = field(default_factory=dict)

    def join(self, room: str, session: str, at: float) -> Membership:
        """Record the start of a membership."""
        membership = Membership(room, session, at)
        self.memberships.append(membership)
        self.latest[room, session] = membership
        return membership


@dataclass
class Verdict:
    """The counts, and the broken promises."""

    counts: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)


def judge(ledger: Ledger, settle: float, refuse: float) -> Verdict:
    """Check every promise. `settle`: seconds after an outage that count as part of it.

    `refuse`: seconds within which a push is refused if Redis is unavailable.
    """
    verdict = Verdict()
    rooms: dict[str, list[Message]] = defaultdict(list)
    for message in ledger.messages:
        verdict.counts["messages " + (message.status or "never answered")] += 1
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
            verdict.broken.append(f"refused for no reason: {message}")
        # A stalled process answers when it continues.
        elif message.answered - message.at > limit and all(o.loses for o in during):
            verdict.broken.append(f"refused late: {message}")


def _judge_order(
    membership: Membership, known: dict[tuple[str, int], Message], verdict: Verdict
) -> None:
    """Each sender's messages arrive in order, once, and only at their recipients."""
    last: dict[str, int] = {}
    for received in membership.received:
        verdict.counts["deliveries"] += 1
        message = known.get((received.sender, received.seq))
        where = f"{membership.session} in {membership.room}: {received}"
        if message is None or message.room != membership.room:
            verdict.broken.append(f"never sent there: {where}")
        elif message.to not in (None, membership.session):
            verdict.broken.append(f"for {message.to} only: {where}")
        before = last.get(received.sender, -1)
        if received.seq == before:
            verdict.broken.append(f"twice: {where}")
        elif received.seq < before:
            verdict.broken.append(f"out of order after {before}: {where}")
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
    """Why a member did not receive a message."""
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
        return "lost in an outage, ended before beam_gap was due"
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
    """`beam_gap` is sent only in an outage."""
    for gap in membership.gaps:
        verdict.counts["beam_gap received"] += 1
        if not any(outage.loses and outage.covers(gap) for outage in outages):
            verdict.broken.append(
                f"a gap for no reason: {membership.session} in {membership.room}, {gap}"
            )


def _judge_flicker(
    memberships: list[Membership], outages: list[Outage], verdict: Verdict
) -> None:
    """No member that stays connected seems to leave, except in an outage.

    All clients agreed before the next outage began: later leaves belong to that
    outage.
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
                verdict.counts[f"of these: {last.kind}"] += 1
            else:
                kind = "no outage" if last is None else last.kind
                verdict.broken.append(
                    f"{session} seemed to leave {observer.room} at {at} ({kind}),"
                    f" as {observer.session} saw it"
                )


def _spans(membership: Membership, at: float) -> bool:
    """Whether it lasted from well before a time to well after it."""
    ended = float("inf") if membership.ended is None else membership.ended
    return membership.joined + STEADY_SECONDS < at < ended - STEADY_SECONDS
