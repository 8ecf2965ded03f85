"""Event names that are reserved."""

from __future__ import annotations

import pytest

from rooms.protocol.event_names import PREFIXES, RESERVED, RESERVED_RULE, is_reserved


@pytest.mark.parametrize(
    "name",
    [
        "phx_join",
        "phx_",
        "PHX_JOIN",
        "Phx_close",
        " phx_close",
        "chan_reply_8",
        "chan_reply_",
        "chan_reply",
        "chan_reply8",
        "CHAN_REPLY_8",
        "\tchan_reply_8",
        "chan_reply_8,x",
        "beam_gap",
        "BEAM_gap",
        "presence_state",
        "presence_diff",
        "Presence_Diff",
        "presence_diff ",
        'presence_diff,{"joins"',
        "presence_state\0",
        "presence_update",
        "access_token",
        "acce\u017f\u017f_to\u212aen",
        "token_expired",
    ],
)
def test_reserved_names_are_known_in_any_spelling(name: str) -> None:
    assert is_reserved(name)


@pytest.mark.parametrize(
    "name",
    [
        "new_msg",
        "typing",
        "presence",
        "presence_stately",
        "presence_diff_seen",
        "presence_state:mine",
        "my_phx_join",
        "a,phx_join",
        "chan_rep",
        "channel_reply",
        "beam",
        "heartbeat",
        "",
    ],
)
def test_other_names_are_free(name: str) -> None:
    assert not is_reserved(name)


def test_the_rule_names_everything_that_is_reserved() -> None:
    assert all(name in RESERVED_RULE for name in (*PREFIXES, *RESERVED))
