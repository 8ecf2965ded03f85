"""Rooms as the contract describes them, on both back ends."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from rooms.auth import jwt_tokens
from rooms.messaging.hub import Hub, hub
from tests.clients import Client, connected

INVALID = "invalid_payload"


@pytest.fixture
def room(backend: str, running_hub: Hub) -> str:
    return f"r{secrets.token_hex(4)}"


def reason(reply: Any) -> str:
    """The reason of an error reply."""
    assert reply["status"] == "error", reply
    text: str = reply["response"]["reason"]
    return text


async def test_a_joiner_gets_reply_state_and_its_own_join(room: str) -> None:
    [ada] = await connected("ada")
    token = {"room_token": jwt_tokens.mint_room(room, 60), "session_id": 7}

    await ada.send("1", "1", f"room:{room}", "phx_join", token)

    reply, state, diff = [await ada.get() for _ in range(3)]
    assert reply == [
        "1", "1", f"room:{room}", "phx_reply", {"status": "ok", "response": {}},
    ]  # fmt: skip
    assert state == ["1", None, f"room:{room}", "presence_state", {}]
    [meta] = diff[4]["joins"]["ada:7"]["metas"]
    assert diff[:4] == [None, None, f"room:{room}", "presence_diff"]
    assert meta["online_at"].isdigit()
    await ada.close()


async def test_a_broadcast_reaches_all_but_the_sender(room: str) -> None:
    ada, bob, eve = await connected("ada", "bob", "eve")
    for client in (ada, bob, eve):
        await client.join(room)

    reply = await ada.ask(
        f"room:{room}", "typing", {"broadcast": True, "x": 1, "from": "forged"}
    )

    source = {"user_id": "ada", "session": "ada:1"}
    expected = {"broadcast": True, "x": 1, "from": source}
    assert reply == {"status": "ok", "response": {}}
    assert await bob.event("typing") == expected
    assert await eve.event("typing") == expected
    assert await ada.is_silent()


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"session": "bob:1"}, {"bob:1"}),
        ({"userId": "bob"}, {"bob:1", "bob:2"}),
        ({"user_id": "bob"}, {"bob:1", "bob:2"}),
        ({"session": "bob:2", "userId": "eve"}, {"bob:2"}),
        ({"user_id": "nobody"}, set()),
        ({"session": "bob:1", "from": "ignored"}, {"bob:1"}),
    ],
)
async def test_a_direct_message_reaches_exactly_its_recipients(
    room: str, entry: Any, expected: set[str]
) -> None:
    ada, one, two, eve = await connected("ada", "bob", "bob", "eve")
    for client, session in ((ada, "1"), (one, "1"), (two, "2"), (eve, "1")):
        await client.join(room, session_id=session)

    await ada.ask(f"room:{room}", "new_msg", {"to": [entry], "n": 1})
    await ada.ask(f"room:{room}", "last", {"broadcast": True})

    received = set()
    for client, session in ((one, "bob:1"), (two, "bob:2"), (eve, "eve:1")):
        while (frame := await client.get())[3] != "last":
            if frame[3] == "new_msg":
                received.add(session)
                assert frame[4]["to"] == [entry]
    assert received == expected


async def test_the_recipients_of_a_direct_message_are_limited(
    room: str, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"max_recipients": 10}
    ada, bob = await connected("ada", "bob")
    await ada.join(room)
    await bob.join(room)
    many = [{"user_id": f"u{n}"} for n in range(10)]

    refused = await ada.ask(
        f"room:{room}", "new_msg", {"to": [*many, {"user_id": "bob"}]}
    )
    good = await ada.ask(f"room:{room}", "new_msg", {"to": [{"user_id": "bob"}] * 99})

    assert refused["response"] == {
        "reason": INVALID,
        "message": '"to": must name at most 10 recipients, not 11',
    }
    assert good["status"] == "ok"
    assert len((await bob.event("new_msg"))["to"]) == 99
    assert await bob.is_silent()


async def test_the_sender_gets_no_copy_but_its_other_sessions_do(room: str) -> None:
    here, there = await connected("ada", "ada")
    await here.join(room, session_id="1")
    await there.join(room, session_id="2")

    await here.ask(f"room:{room}", "new_msg", {"to": [{"user_id": "ada"}]})

    assert await there.event("new_msg")
    assert await here.is_silent()


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"broadcast": False},
        {"broadcast": "true"},
        {"broadcast": 1},
        {"to": "bob"},
        {"to": {}},
        {"to": [{}]},
        {"to": ["bob:1"]},
        {"to": [{"session": "bob:1"}, {"bogus": 1}]},
        {"to": [{"session": 5}]},
        {"to": [{"session": None, "userId": "bob"}]},
        {"to": [{"user_id": ["bob"]}]},
        [],
        "text",
        None,
        5,
    ],
)
async def test_a_message_without_recipients_is_refused(room: str, payload: Any) -> None:
    ada, bob = await connected("ada", "bob")
    await ada.join(room)
    await bob.join(room)

    reply = await ada.ask(f"room:{room}", "new_msg", payload)

    assert reason(reply) == INVALID
    assert await bob.is_silent()
    ok = await ada.ask(f"room:{room}", "new_msg", {"broadcast": True})
    assert ok["status"] == "ok"


@pytest.mark.parametrize(
    "event",
    [
        "phx_reply",
        "phx_close",
        "phx_error",
        "phx_anything",
        "presence_state",
        "presence_diff",
        "beam_gap",
        "token_expired",
        "chan_reply_8",
        "CHAN_REPLY_8",
        "chan_reply",
    ],
)
async def test_reserved_events_are_refused(room: str, event: str) -> None:
    ada, bob = await connected("ada", "bob")
    await ada.join(room)
    await bob.join(room)

    reply = await ada.ask(f"room:{room}", event, {"broadcast": True})

    assert reason(reply) == "reserved_event"
    assert "chan_reply" in reply["response"]["message"]
    assert await bob.is_silent()


async def test_a_member_cannot_forge_its_sender(room: str) -> None:
    ada, bob = await connected("ada", "bob")
    await ada.join(room)
    await bob.join(room)
    forged = {"user_id": "eve", "session": "eve:1"}
    inner = {"text": "x", "from": forged}

    await ada.ask(
        f"room:{room}",
        "m",
        {"broadcast": True, "status": "ok", "response": inner, "from": forged},
    )

    received = await bob.event("m")
    true = {"user_id": "ada", "session": "ada:1"}
    assert received["from"] == received["response"]["from"] == true
    assert received["response"]["text"] == "x"


@pytest.mark.parametrize("event", ["phx_reply", "phx_close", "chan_reply_8", "PHX_x"])
@pytest.mark.parametrize("name", ["push", "broadcast"])
async def test_a_channel_cannot_send_event_names_of_phoenix(
    room: str, event: str, name: str
) -> None:
    [ada] = await connected("ada")
    await ada.join(room)
    [channel] = hub()._topics[f"room:{room}"].recipients.values()

    with pytest.raises(ValueError, match="reserved"):
        await getattr(channel, name)(event, {})


@pytest.mark.parametrize("event", [5, None, [], {}, ""])
async def test_an_event_name_that_is_not_text_is_refused(room: str, event: Any) -> None:
    [ada] = await connected("ada")
    await ada.join(room)

    reply = await ada.ask(f"room:{room}", event, {"broadcast": True})

    assert reason(reply) == INVALID


@pytest.mark.parametrize(
    "payload",
    [
        {"session_id": "a:b"},
        {"session_id": ""},
        {"session_id": "x" * 65},
        {"session_id": True},
        {"session_id": None},
        {"session_id": ["1"]},
        {"session_id": {}},
        {"session_id": False},
        {"session_id": "a\nb"},
        {"session_id": "\u0000"},
        {"session_id": "\u0085"},
        {"session_id": 10**64},
        {"meta": "text"},
        {"meta": []},
        {"meta": {"x": "y" * 5_000}},
        {"meta": {"x": 2**70}},
    ],
)
async def test_a_join_of_the_wrong_shape_is_refused(room: str, payload: Any) -> None:
    [ada] = await connected("ada")

    reply = await ada.try_join(room, **payload)

    assert reason(reply) == INVALID
    assert (await ada.try_join(room))["status"] == "ok"


@pytest.mark.parametrize("payload", [None, [], "x", {}, {"session_id": "1"}])
async def test_a_join_without_a_room_token_is_refused(room: str, payload: Any) -> None:
    [ada] = await connected("ada")

    reply = await ada.ask(f"room:{room}", "phx_join", payload)

    assert reason(reply) == INVALID


async def test_session_ids_may_be_numbers(room: str) -> None:
    ada, bob = await connected("ada", "bob")
    await ada.join(room, session_id=42)

    state = await bob.join(room)

    assert list(state) == ["ada:42"]


@pytest.mark.parametrize(
    "room_id", ["", "x" * 201, "x" * 10_000, "a\nb", "a\u0000b", "\u007f", "a\u0085b"]
)
async def test_an_invalid_room_id_is_refused(backend: str, room_id: str) -> None:
    [ada] = await connected("ada")
    token = jwt_tokens.mint_room(room_id or "x", 60)

    reply = await ada.try_join(room_id, room_token=token)

    assert reason(reply) == "invalid_room_id"


@pytest.mark.parametrize(
    "room_id",
    ["a/b", "日本", "a'b\"c", "a b", "../..", "%2F", "{x}", "x" * 200, "🎉", "*"],
)
async def test_room_ids_of_any_script_work(
    backend: str, running_hub: Hub, room_id: str
) -> None:
    ada, bob = await connected("ada", "bob")
    await ada.join(room_id)
    await bob.join(room_id)

    await ada.ask(f"room:{room_id}", "new_msg", {"broadcast": True, "n": 1})

    assert (await bob.event("new_msg"))["n"] == 1
    for client in (ada, bob):
        await client.close()


async def test_a_token_without_push_only_receives(room: str) -> None:
    ada, bob = await connected("ada", "bob")
    token = jwt_tokens.mint_room(room, 60, can=["presence"])
    await ada.join(room, room_token=token)
    await bob.join(room)

    reply = await ada.ask(f"room:{room}", "new_msg", {"broadcast": True})

    assert reason(reply) == "forbidden"
    assert (await bob.ask(f"room:{room}", "new_msg", {"broadcast": True}))["status"]
    assert await ada.event("new_msg")


async def test_a_token_without_presence_gets_presence_and_has_none(room: str) -> None:
    ghost, bob = await connected("ghost", "bob")
    await bob.join(room)
    token = jwt_tokens.mint_room(room, 60, can=["push"])

    reply = await ghost.try_join(room, room_token=token)

    assert reply["status"] == "ok"
    assert list(await ghost.event("presence_state")) == ["bob:1"]
    assert await bob.is_silent()
    update = await ghost.ask(f"room:{room}", "presence_update", {"meta": {}})
    assert reason(update) == "forbidden"


async def test_the_tokens_meta_wins_over_the_clients(room: str) -> None:
    ada, bob = await connected("ada", "bob")
    token = jwt_tokens.mint_room(room, 60, meta={"role": "owner"})
    mine = {"role": "forged", "name": "Ada", "online_at": "0", "phx_ref": "forged"}
    await ada.join(room, room_token=token, meta=mine)

    [meta] = (await bob.join(room))["ada:1"]["metas"]

    assert (meta["role"], meta["name"]) == ("owner", "Ada")
    assert meta["online_at"] != "0"
    assert meta["phx_ref"] != "forged"


async def test_presence_update_replaces_the_meta_in_one_diff(room: str) -> None:
    ada, bob = await connected("ada", "bob")
    token = jwt_tokens.mint_room(room, 60, meta={"role": "owner"})
    await ada.join(room, room_token=token, meta={"mood": "ok"})
    state = await bob.join(room)
    [before] = state["ada:1"]["metas"]

    reply = await ada.ask(
        f"room:{room}", "presence_update", {"meta": {"mood": "great"}}
    )

    diff = await bob.event("presence_diff")
    [after] = diff["joins"]["ada:1"]["metas"]
    assert reply == {"status": "ok", "response": {}}
    assert diff["leaves"] == {"ada:1": {"metas": [before]}}
    assert after == before | {
        "mood": "great",
        "phx_ref": after["phx_ref"],
        "phx_ref_prev": before["phx_ref"],
    }


@pytest.mark.parametrize("payload", [{}, {"meta": 5}, {"meta": {"x": "y" * 5_000}}, []])
async def test_a_presence_update_of_the_wrong_shape_is_refused(
    room: str, payload: Any
) -> None:
    [ada] = await connected("ada")
    await ada.join(room)

    assert reason(await ada.ask(f"room:{room}", "presence_update", payload)) == INVALID


async def test_a_session_on_two_connections_has_two_metas(room: str) -> None:
    one, two, bob = await connected("ada", "ada", "bob")
    await one.join(room)
    await two.join(room)
    state = await bob.join(room)
    first, second = state["ada:1"]["metas"]

    await one.close()

    diff = await bob.event("presence_diff")
    assert diff == {"joins": {}, "leaves": {"ada:1": {"metas": [first]}}}
    eve = await Client("eve").connect()
    assert (await eve.join(room))["ada:1"] == {"metas": [second]}


async def test_the_sessions_of_a_user_in_a_room_are_limited(
    room: str, settings: Settings
) -> None:
    policies = {f"{room}*": {"user_sessions": 3}}
    settings.BEAM = settings.BEAM | {"room_policies": policies}
    adas = await connected(*["ada"] * 5)
    for n in range(3):
        await adas[n].join(room, session_id=n)

    refused = await adas[3].try_join(room, session_id="another")

    assert reason(refused) == "too_many_sessions"
    [bob] = await connected("bob")
    assert len(await bob.join(room)) == 3
    await adas[0].close()
    await bob.event("presence_diff")
    await adas[4].join(room, session_id="another")


async def test_the_size_of_all_metas_of_a_room_is_limited(
    room: str, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"room_presence_bytes": 5_000}
    ada, bob, eve = await connected("ada", "bob", "eve")
    await ada.join(room, meta={"x": "y" * 2_000})
    await bob.join(room, meta={"x": "y" * 2_000})

    refused = await eve.try_join(room, meta={"x": "y" * 2_000})
    large = {"meta": {"x": "y" * 4_000}}
    update = await ada.ask(f"room:{room}", "presence_update", large)

    assert reason(refused) == reason(update) == "presence_full"
    small = {"meta": {"x": "y"}}
    assert (await ada.ask(f"room:{room}", "presence_update", small))["status"] == "ok"
    assert set(await eve.join(room, meta={"x": "y" * 2_000})) == {"ada:1", "bob:1"}


@pytest.mark.parametrize("how", ["phx_leave", "close", "crash"])
async def test_a_member_leaves_presence_however_it_ends(
    room: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, bob = await connected("ada", "bob")
    await ada.join(room)
    await bob.join(room)

    if how == "phx_leave":
        assert (await ada.ask(f"room:{room}", "phx_leave", {}))["status"] == "ok"
    elif how == "close":
        await ada.close()
    else:
        from rooms.channels.room import RoomChannel

        def boom(*args: Any) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(RoomChannel, "receive", boom)
        await ada.send("j", "9", f"room:{room}", "new_msg", {})
        assert await ada.event("phx_error") == {"reason": "channel_crash"}

    diff = await bob.event("presence_diff")
    assert list(diff["leaves"]) == ["ada:1"]
    assert diff["joins"] == {}


async def test_a_second_join_leaves_one_presence_entry(room: str) -> None:
    [ada] = await connected("ada")
    await ada.join(room)

    await ada.try_join(room)

    assert (await ada.event("phx_close")) == {}
    assert await ada.event("presence_state") == {}
    former, mine = [await ada.event("presence_diff") for _ in range(2)]
    assert (list(former["leaves"]), former["joins"]) == (["ada:1"], {})
    assert (list(mine["joins"]), mine["leaves"]) == (["ada:1"], {})
    bob = await Client("bob").connect()
    state = await bob.join(room)
    assert len(state["ada:1"]["metas"]) == 1


async def test_no_diff_comes_before_the_state_nor_repeats_it(room: str) -> None:
    many = await connected(*(f"u{n}" for n in range(12)))
    late = await Client("late").connect()
    for client in many[:6]:
        await client.join(room)

    for client in many[6:]:
        token = {"room_token": jwt_tokens.mint_room(room, 60), "session_id": "1"}
        await client.send("j", "1", f"room:{room}", "phx_join", token)
    reply = await late.try_join(room)

    assert reply["status"] == "ok"
    state = (await late.get())[4]
    seen = set(state)
    while len(seen) < 13:
        frame = await late.get()
        assert frame[3] == "presence_diff"
        joined = set(frame[4]["joins"])
        assert not joined & seen
        seen |= joined


async def test_replies_come_before_the_reply_to_a_leave(room: str) -> None:
    [ada] = await connected("ada")
    await ada.join(room)

    await ada.send("j", "a", f"room:{room}", "new_msg", {"broadcast": True})
    await ada.send("j", "b", f"room:{room}", "phx_leave", {})

    frames = [await ada.get() for _ in range(3)]
    assert [(frame[1], frame[3]) for frame in frames] == [
        ("a", "phx_reply"),
        ("b", "phx_reply"),
        ("j", "phx_close"),
    ]
