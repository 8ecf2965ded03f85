"""Exchanges of the specification that are not among the vectors."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.fixture import FixtureChannel
from tests.conformance.replay import Replay
from tests.conftest import Serve

CLIENT = {
    "path": "/socket/websocket",
    "query": {"vsn": "2.0.0", "user_token": "user:a"},
    "expect": {"status": 101},
}
ERROR = ["1", "1", "test:x", "phx_error", {"reason": "channel_crash"}]


def exchange(*steps: Any, topic: str = "test:x") -> dict[str, Any]:
    """A vector: join a topic, then send (tuples) and expect (lists)."""
    ok = {"status": "ok", "response": {}}
    frames: list[Any] = [
        ("1", "1", topic, "phx_join", {}),
        ["1", "1", topic, "phx_reply", ok],
        *steps,
    ]
    made = [
        {"op": "expect", "c": "a", "order": "exact", "frames": [frame]}
        if isinstance(frame, list)
        else {"op": "send", "c": "a", "json": list(frame)}
        for frame in frames
    ]
    silence = {"op": "silence", "c": "a", "ms": 100}
    return {"clients": {"a": CLIENT}, "steps": [*made, silence]}


@pytest.mark.parametrize(
    "vector",
    [
        exchange(("1", "2", "test:x", "push_me", [1]), ERROR),
        exchange(("1", "2", "test:x", "broadcast", "text"), ERROR),
        exchange(("1", "2", "test:x", 5, {}), ERROR),
        exchange(("1", "2", "test:x", "phx_reply", {}), ERROR),
        exchange(
            ("1", "2", "test:bye", "crash", {}),
            ["1", None, "test:bye", "you_left", {}],
            ["1", "1", "test:bye", "phx_error", {"reason": "channel_crash"}],
            topic="test:bye",
        ),
        exchange(
            ("1", "2", "test:x", "broadcast_hidden", {}),
            ("1", "3", "test:x", "broadcast_rewrite", {"n": 1}),
            ["1", None, "test:x", "rewritten", {"n": 1, "for": "a"}],
        ),
        exchange(
            ("1", "2", "test:x", "echo", None),
            ["1", "2", "test:x", "phx_reply", {"status": "ok", "response": None}],
            ("1", "3", "test:x", "fail", None),
            ["1", "3", "test:x", "phx_reply", {"status": "error", "response": None}],
            ("1", "4", "test:x", "ack", None),
            ["1", "4", "test:x", "phx_reply", {"status": "ok", "response": {}}],
            ("2", "5", "test:y", "phx_join", {"reply": None}),
            ["2", "5", "test:y", "phx_reply", {"status": "ok", "response": None}],
        ),
        exchange(
            ("1", "2", "test:x", "echo", [1, None]),
            ["1", "2", "test:x", "phx_reply", {"status": "ok", "response": [1, None]}],
        ),
    ],
)
async def test_the_fixture_answers_as_phoenix_did(
    beam_server: Serve, vector: dict[str, Any]
) -> None:
    await Replay(beam_server("conformance").url).run(vector)


async def test_a_silent_client_of_the_short_mount_is_closed(beam_server: Serve) -> None:
    short = CLIENT | {"path": "/short/websocket"}
    steps = [{"op": "expect_close", "c": "a", "code": 1002}]

    await Replay(beam_server("conformance").url).run(
        {"clients": {"a": short}, "steps": steps}
    )


def test_the_fixture_handles_every_event_of_the_vectors_head() -> None:
    known = {name[3:] for name in dir(FixtureChannel) if name.startswith("on_")}

    assert known == {
        "ack", "bin_broadcast", "bin_echo", "bin_push", "broadcast",
        "broadcast_from", "broadcast_hidden", "broadcast_rewrite", "crash",
        "disconnect_user", "drain", "echo", "fail", "list", "noreply", "push_me",
        "push_then_ack", "state", "stop", "stop_reply", "track", "untrack",
        "update", "whoami",
    }  # fmt: skip
