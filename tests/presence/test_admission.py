"""A topic refuses banned keys, and entries beyond its limits."""

from __future__ import annotations

import pytest

from presence import admission
from presence.admission import Ban, Counts, Limits, NotAdmitted, check_bans


@pytest.mark.parametrize(
    ("bans", "reason"),
    [
        ({admission.EVERYONE: 9.0, admission.key("a:1"): 9.0}, admission.CLOSED),
        ({admission.group("a"): 9.0}, admission.BLOCKED),
        ({admission.key("a:1"): 9.0}, admission.BLOCKED),
    ],
)
def test_a_ban_refuses_a_key_until_it_ends(bans: dict[Ban, float], reason: str) -> None:
    with pytest.raises(NotAdmitted) as refused:
        check_bans(bans, 8.0, "a:1", "a")

    assert refused.value.reason == reason
    check_bans(bans, 9.0, "a:1", "a")


def test_a_ban_of_others_refuses_no_key() -> None:
    check_bans({admission.group("b"): 9.0, admission.key("a:2"): 9.0}, 1.0, "a:1", "a")


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(entries=2), admission.FULL),
        (Limits(of_group=1), admission.GROUP_FULL),
        (Limits(size=29), admission.TOO_LARGE),
        (Limits(2, 1, 29), admission.FULL),
    ],
)
def test_an_entry_beyond_a_limit_is_refused(limits: Limits, reason: str) -> None:
    counts = Counts()
    counts.add("a", 10)
    counts.add("b", 10)

    with pytest.raises(NotAdmitted) as refused:
        counts.check("a", 10, limits)

    assert refused.value.reason == reason


@pytest.mark.parametrize("limits", [Limits(), Limits(3, 2, 30)])
def test_an_entry_within_the_limits_is_admitted(limits: Limits) -> None:
    counts = Counts()
    counts.add("a", 10)
    counts.add("b", 10)

    counts.check("a", 10, limits)


def test_a_removed_entry_does_not_count() -> None:
    counts = Counts()
    counts.add("a", 10)

    counts.add("a", 10, -1)

    assert (counts.entries, counts.size, len(counts.by_group)) == (0, 0, 0)
    counts.check("a", 10, Limits(1, 1, 10))


def test_an_entry_grows_only_within_the_limit_and_may_always_shrink() -> None:
    counts = Counts()
    counts.add("a", 10)

    counts.check_growth(2, Limits(size=12))
    counts.check_growth(-1, Limits(size=1))
    with pytest.raises(NotAdmitted, match="too_large"):
        counts.check_growth(3, Limits(size=12))
