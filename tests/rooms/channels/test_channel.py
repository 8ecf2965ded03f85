"""The replies of a channel on the wire, and responses that cannot be encoded."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django.fixtures import Settings

from beam.telemetry import metrics
from rooms.auth import jwt_tokens
from rooms.channels.channel import Channel
from rooms.channels.results import NULL
from rooms.messaging.hub import Hub
from tests.clients import Client, connected

VALUES: dict[str, Any] = {
    "nothing": None,
    "null": NULL,
    "list": [1, None],
    "text": "hi",
    "zero": 0,
    "false": False,
    "object": {"a": 1},
    "empty": {},
    "bytes": b"\x00",
    "none of json": object(),
    "set": {1},
    "half": {"a": 2**70, "b": object()},
}


class Odd(Channel):
    """Answers a join with the response that its payload names."""

    async def join(self, payload: Any) -> Any:
        await self.subscribe()
        return VALUES[payload["answer"]]

    def receive(self, event: Any, payload: Any, ref: Any) -> None:
        status, given = payload["status"], payload.get("given")
        if given is None:
            self.reply(ref, status)
        else:
            self.reply(ref, status, None if given == "null" else VALUES[given])


pytestmark = pytest.mark.usefixtures("running_hub")


@pytest.fixture(autouse=True)
def odd(settings: Settings) -> None:
    channels = {"odd:*": f"{__name__}.Odd"}
    settings.BEAM = settings.BEAM | {"channels": channels}


async def old_client() -> Client:
    """A connection with serializer V1."""
    return await Client(
        "ada", user_token=jwt_tokens.mint_user("ada", 60), vsn="1.0.0"
    ).connect()


@pytest.mark.parametrize("status", ["ok", "error"])
@pytest.mark.parametrize(
    ("given", "response"),
    [(None, {}), ("null", None), ("list", [1, None]), ("zero", 0), ("false", False)],
)
@pytest.mark.parametrize("vsn", ["1.0.0", "2.0.0"])
async def test_no_response_and_null_differ(
    status: str, given: str | None, response: Any, vsn: str
) -> None:
    ada = await Client(
        "ada", user_token=jwt_tokens.mint_user("ada", 60), vsn=vsn
    ).connect()
    await ada.send_as(vsn, "1", "1", "odd:1", "phx_join", {"answer": "nothing"})
    await ada.answer("1")

    asked = {"status": status, "given": given}
    await ada.send_as(vsn, "1", "2", "odd:1", "m", asked)

    assert await ada.answer("2") == {"status": status, "response": response}


@pytest.mark.parametrize(
    ("answer", "response"),
    [
        ("nothing", {}),
        ("null", None),
        ("empty", {}),
        ("object", {"a": 1}),
        ("list", [1, None]),
        ("text", "hi"),
        ("zero", 0),
        ("false", False),
    ],
)
@pytest.mark.parametrize("vsn", ["1.0.0", "2.0.0"])
async def test_a_join_is_answered_with_what_it_returned(
    answer: str, response: Any, vsn: str
) -> None:
    ada = await Client(
        "ada", user_token=jwt_tokens.mint_user("ada", 60), vsn=vsn
    ).connect()

    await ada.send_as(vsn, "1", "1", "odd:1", "phx_join", {"answer": answer})

    assert await ada.answer("1") == {"status": "ok", "response": response}


async def test_a_join_may_be_answered_with_bytes() -> None:
    [ada] = await connected("ada")

    await ada.send("1", "2", "odd:1", "phx_join", {"answer": "bytes"})

    answer = await ada.wire.receive_from(timeout=1)
    assert answer == b"\x01\x01\x01\x05\x0212odd:1ok\x00"


@pytest.mark.parametrize("answer", ["none of json", "set", "half"])
async def test_a_join_crashes_if_its_response_cannot_be_encoded(
    answer: str, running_hub: Hub
) -> None:
    [ada] = await connected("ada")
    crashes = metrics.CRASHES.value

    reply = await ada.ask("odd:1", "phx_join", {"answer": answer})

    assert reply == {"status": "error", "response": {"reason": "join crashed"}}
    assert metrics.CRASHES.value == crashes + 1
    assert running_hub.size("odd:1") == 0
    again = await ada.ask("odd:1", "phx_join", {"answer": "nothing"})
    assert again == {"status": "ok", "response": {}}


async def test_a_join_answered_with_bytes_crashes_only_with_v1() -> None:
    ada = await old_client()

    await ada.send_as("1.0.0", "1", "1", "odd:1", "phx_join", {"answer": "bytes"})
    crashed = await ada.answer("1")
    await ada.send_as("1.0.0", None, "2", "phoenix", "heartbeat", {})

    assert crashed == {"status": "error", "response": {"reason": "join crashed"}}
    assert (await ada.answer("2"))["status"] == "ok"


@pytest.mark.parametrize("given", ["none of json", "set", "half"])
async def test_a_reply_that_cannot_be_encoded_crashes_only_its_channel(
    given: str,
) -> None:
    [ada] = await connected("ada")
    for topic in ("odd:1", "odd:2"):
        await ada.ask(topic, "phx_join", {"answer": "nothing"})

    await ada.send("j", "x", "odd:1", "m", {"status": "ok", "given": given})

    assert (await ada.get())[:4] == ["j", "j", "odd:1", "phx_error"]
    assert (await ada.ask("odd:2", "m", {"status": "ok"}))["status"] == "ok"
