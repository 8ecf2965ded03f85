"""Which entries a process holds, and what it passes to `reconcile`."""

from __future__ import annotations

from presence.own_entries import OwnEntries, OwnEntry

ADA = OwnEntry("ada:1", "ada", "{}")
BOB = OwnEntry("bob:1", "bob", "[]")


def test_only_the_first_entry_of_a_topic_is_reported_as_first() -> None:
    held = OwnEntries()

    assert held.add("r", "1", ADA)
    assert not held.add("r", "2", BOB)
    assert held.add("other", "3", BOB)


def test_a_topic_without_entries_is_not_listed() -> None:
    held = OwnEntries()
    held.add("r", "1", ADA)

    held.remove("r", "1")
    held.remove("r", "unknown")

    assert held.get("r", "1") is None
    assert not held.has("r")
    assert held.topics() == []


def test_a_topic_is_listed_until_its_last_grace_period_ends() -> None:
    held = OwnEntries()
    held.add("r", "1", ADA)

    held.begin_grace("r", "1")

    assert held.get("r", "1") is None
    assert held.topics() == ["r"]
    held.end_grace("r", "1")
    assert held.topics() == []


def test_an_uncertain_topic_is_listed() -> None:
    held = OwnEntries()

    held.uncertain.add("r")

    assert held.has("r")
    assert held.topics() == ["r"]


def test_the_arguments_are_the_entries_then_the_refs_in_a_grace_period() -> None:
    held = OwnEntries()
    held.add("r", "1", ADA)
    held.add("r", "2", BOB)
    held.add("r", "3", BOB)
    held.begin_grace("r", "3")

    assert held.script_args("r") == [2, "1", "ada", "{}", "2", "bob", "[]", "3"]
    assert held.script_args("other") == [0]
