"""The judge of a stress run finds every kind of broken promise."""

from __future__ import annotations

import pytest

from tests.stress.judge import judge
from tests.stress.ledger import Ledger, Membership, Message, Outage, Received

SETTLE = 5.0
REFUSE = 2.0


def a_run(count: int = 5) -> tuple[Ledger, Membership]:
    """A sender, a receiver, and one message per second from 100 on, all received."""
    ledger = Ledger()
    ledger.join("r", "ada:1", 0.0)
    bob = ledger.join("r", "bob:1", 0.0)
    for seq in range(count):
        at = 100.0 + seq
        message = Message("ada:1/1", seq, "r", "ada:1", at, None, at + 0.01, "ok")
        ledger.messages.append(message)
        bob.received.append(Received(at + 0.02, "ada:1/1", seq))
    return ledger, bob


def broken(ledger: Ledger) -> list[str]:
    """The beginning of each broken promise, up to the colon."""
    return [text.split(":")[0] for text in judge(ledger, SETTLE, REFUSE).broken]


def test_messages_received_in_order_keep_the_promise() -> None:
    ledger, _ = a_run()

    verdict = judge(ledger, SETTLE, REFUSE)

    assert verdict.broken == []
    assert verdict.counts == {"messages: ok": 5, "deliveries": 5}


def test_a_missing_message_is_a_loss() -> None:
    ledger, bob = a_run()
    del bob.received[2]

    assert broken(ledger) == ["lost"]


def test_a_message_without_an_ok_may_be_lost() -> None:
    ledger, bob = a_run()
    del bob.received[2]
    ledger.messages[2].status = "timed out"

    assert broken(ledger) == []


def test_a_refusal_needs_an_outage_and_must_be_fast() -> None:
    ledger, bob = a_run()
    del bob.received[2]
    ledger.messages[2].status = "unavailable"

    assert broken(ledger) == ["refused without an outage"]
    ledger.outages.append(Outage("pause", 102.0, loses=True, over=103.0))
    assert broken(ledger) == []
    ledger.messages[2].answered = 104.5
    assert broken(ledger) == ["refused late"]


def test_the_last_message_is_a_loss_if_the_member_stays() -> None:
    ledger, bob = a_run()
    del bob.received[4]

    assert broken(ledger) == ["lost"]


@pytest.mark.parametrize(("ended", "expected"), [(104.5, []), (109.0, ["lost"])])
def test_a_message_on_its_way_may_be_lost_with_the_membership(
    ended: float, expected: list[str]
) -> None:
    ledger, bob = a_run()
    del bob.received[4]
    bob.ended, bob.how = ended, "left"

    assert broken(ledger) == expected


def test_a_missing_message_is_a_loss_even_if_the_membership_ends() -> None:
    ledger, bob = a_run()
    del bob.received[3]
    bob.ended, bob.how = 104.5, "closed"

    assert broken(ledger) == ["lost"]


def test_a_stopped_process_may_lose_messages_with_its_sockets() -> None:
    ledger, bob = a_run(20)
    del bob.received[5:]
    bob.ended, bob.how = 119.0, "closed"
    ledger.outages.append(Outage("stop", 105.0, loses=False, over=125.0))

    verdict = judge(ledger, SETTLE, REFUSE)

    assert verdict.broken == []
    label = "lost in an outage, announced by the membership's end"
    assert verdict.counts[label] == 12
    ledger.outages.clear()
    assert broken(ledger) == ["lost"] * 12


def test_a_loss_in_an_outage_must_be_announced() -> None:
    ledger, bob = a_run()
    del bob.received[2]
    ledger.outages.append(Outage("cut", 102.0, loses=True, over=103.0))

    assert broken(ledger) == ["lost"]
    bob.gaps.append(103.5)
    assert broken(ledger) == []
    assert (
        judge(ledger, SETTLE, REFUSE).counts["lost in an outage, announced by beam_gap"]
        == 1
    )


def test_a_gap_before_the_loss_does_not_announce_it() -> None:
    ledger, bob = a_run()
    del bob.received[2]
    ledger.outages.append(Outage("cut", 101.0, loses=True, over=103.0))
    bob.gaps.append(101.5)

    assert broken(ledger) == ["lost"]


def test_a_loss_outside_an_outage_is_not_excused_by_a_gap() -> None:
    ledger, bob = a_run(20)
    del bob.received[15]
    ledger.outages.append(Outage("cut", 102.0, loses=True, over=103.0))
    bob.gaps.append(115.5)

    assert broken(ledger) == ["lost", "a gap without an outage"]


def test_a_gap_excuses_no_loss_in_an_outage_that_loses_nothing() -> None:
    ledger, bob = a_run()
    del bob.received[2]
    ledger.outages.append(Outage("flush", 102.0, loses=False, over=103.0))
    bob.gaps.append(102.5)

    assert broken(ledger) == ["lost", "a gap without an outage"]


def test_order_and_single_delivery_are_promised() -> None:
    ledger, bob = a_run()
    bob.received[1], bob.received[2] = bob.received[2], bob.received[1]
    bob.received.append(bob.received[-1])

    assert broken(ledger) == ["received out of order, after 2", "received twice"]


def test_messages_reach_only_those_they_are_addressed_to() -> None:
    ledger, bob = a_run()
    ledger.messages[1].to = "cat:1"
    bob.received.append(Received(120.0, "eve:1/1", 1))

    assert broken(ledger) == ["addressed to cat", "never sent to this room"]


def test_a_direct_message_is_lost_only_for_its_addressee() -> None:
    ledger, bob = a_run()
    ledger.messages[1].to = "bob:1"
    del bob.received[1]
    ledger.join("r", "cat:1", 100.5).received = bob.received[1:]

    assert broken(ledger) == ["lost"]


def test_a_connected_member_must_not_seem_to_leave() -> None:
    ledger, bob = a_run()
    bob.gone.append((110.0, "ada:1"))

    assert broken(ledger) == ["ada"]
    ledger.outages.append(Outage("stop", 109.0, loses=False, over=111.0))
    assert broken(ledger) == []


@pytest.mark.parametrize("began", [99.0, 109.0])
def test_no_member_seems_to_leave_in_a_steady_outage(began: float) -> None:
    ledger, bob = a_run()
    bob.gone.append((110.0, "ada:1"))
    outage = Outage("no memory", began, loses=True, steady=True, over=111.0)

    ledger.outages.append(outage)

    assert broken(ledger) == ["ada"]


def test_a_leave_belongs_to_the_last_outage_that_began() -> None:
    ledger, bob = a_run()
    bob.gone.append((110.0, "ada:1"))
    steady = Outage("no memory", 109.0, loses=True, steady=True, over=111.0)
    stopped = Outage("stop", 104.0, loses=False, over=107.0)

    ledger.outages += [stopped, steady]

    assert broken(ledger) == ["ada"]
    stopped.start = 109.5
    assert broken(ledger) == []


def test_a_member_that_leaves_before_a_gap_is_due_may_miss_it() -> None:
    ledger, bob = a_run()
    del bob.received[2]
    ledger.outages.append(Outage("cut", 102.0, loses=True, over=103.0))

    bob.ended, bob.how = 104.5, "left"
    assert broken(ledger) == []
    bob.ended = 112.5
    assert broken(ledger) == ["lost"]


def test_a_member_that_left_may_be_seen_to_leave() -> None:
    ledger, bob = a_run()
    ledger.latest["r", "ada:1"].ended = 110.0
    bob.gone.append((110.1, "ada:1"))

    verdict = judge(ledger, SETTLE, REFUSE)

    assert verdict.broken == []
    assert verdict.counts["leaves seen"] == 1
