"""A connect request: params, version, origin, subprotocol."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms.protocol.frame import Vsn
from rooms.protocol.handshake import (
    Refused,
    choose_subprotocol,
    choose_vsn,
    extract_token,
    negotiate,
)

P = "base64url.bearer.phx."


@pytest.mark.parametrize(
    ("vsn", "chosen"),
    [
        ("1.0.0", Vsn.V1),
        ("1.0.9", Vsn.V1),
        ("2.0.0", Vsn.V2),
        ("2.0.7", Vsn.V2),
        ("2.0.0+x.1", Vsn.V2),
        ("2.0.1-rc.1", Vsn.V2),
        ("1.0.1-a+b", Vsn.V1),
    ],
)
def test_a_version_chooses_its_serializer(vsn: str, chosen: Vsn) -> None:
    assert choose_vsn({"vsn": vsn}) is chosen


def test_no_version_means_v1() -> None:
    assert choose_vsn({}) is Vsn.V1


@pytest.mark.parametrize(
    "vsn",
    [
        "1.1.0",
        "2.1.0",
        "3.0.0",
        "0.0.0",
        "12.0.0",
        "2.0",
        "2",
        "",
        "abc",
        "02.0.0",
        "2.0.0-rc.1",
        "1.0.0-a",
        "2.0.0 ",
        "2.0.0\n",
        "٢.0.0",
        "2.0.0-",
        "2.00.0",
    ],
)
def test_other_versions_are_refused(vsn: str) -> None:
    with pytest.raises(Refused):
        choose_vsn({"vsn": vsn})


@pytest.mark.parametrize("vsn", [["2.0.0"], {"a": "2.0.0"}, None])
def test_a_version_that_is_not_text_is_refused(vsn: Any) -> None:
    with pytest.raises(Refused):
        choose_vsn({"vsn": vsn})


LIST = ("https://example.com", "//*.other.com")


@pytest.mark.parametrize(
    ("offered", "token", "rest"),
    [
        ([], None, []),
        (["phoenix"], None, ["phoenix"]),
        (["phoenix", P + "YQ"], "a", ["phoenix"]),
        ([P + "YQ==", "phoenix"], "a", ["phoenix"]),
        ([P + "dG9rZW4tMTIz"], "token-123", []),
        ([P + "_-4"], "ÿî", []),
        ([P + "/+4"], "ÿî", []),
        ([P], "", []),
        ([P + "YQ", P + "Yg"], None, [P + "YQ", P + "Yg"]),
    ],
)
def test_a_token_is_taken_out_of_the_subprotocols(
    offered: list[str], token: str | None, rest: list[str]
) -> None:
    assert extract_token(offered) == (token, rest)


@pytest.mark.parametrize("text", ["!", "a", "YQ YQ", "é", "YQ==YQ"])
def test_a_token_that_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        extract_token(["phoenix", P + text])


@given(st.text(st.characters(max_codepoint=255)))
def test_a_token_that_btoa_encoded_is_decoded(token: str) -> None:
    text = base64.b64encode(token.encode("latin-1")).decode().rstrip("=")

    assert extract_token([P + text])[0] == token


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [([], None), (["phoenix"], "phoenix"), (["x", "phoenix"], "phoenix")],
)
def test_phoenix_is_chosen_if_it_is_offered(
    offered: list[str], chosen: str | None
) -> None:
    assert choose_subprotocol(offered) == chosen


def test_other_subprotocols_are_refused() -> None:
    with pytest.raises(Refused):
        choose_subprotocol(["graphql-ws"])


@given(
    st.binary(max_size=60),
    st.lists(st.text(max_size=12) | st.text(max_size=12).map(P.__add__), max_size=3),
    st.none() | st.text(max_size=20),
    st.text(max_size=20),
)
def test_no_request_raises_anything_but_refused(
    query: bytes, offered: list[str], origin: str | None, host: str
) -> None:
    for allowed in (None, (), LIST):
        try:
            handshake = negotiate(query, offered, origin, host, allowed)
        except Refused:
            continue
        assert handshake.vsn in Vsn


def test_a_complete_connect_request_is_read() -> None:
    handshake = negotiate(
        b"x=1&vsn=2.0.0", ["phoenix", P + "YQ"], "http://h.test", "h.test", ()
    )

    assert (handshake.vsn, handshake.subprotocol, handshake.auth_token) == (
        Vsn.V2,
        "phoenix",
        "a",
    )
    assert handshake.params == {"x": "1", "vsn": "2.0.0"}
    assert "x" not in repr(handshake).split("vsn")[0]


@pytest.mark.parametrize("allowed", [(), ("https://good.test",)])
def test_an_origin_that_is_not_allowed_is_refused(allowed: tuple[str, ...]) -> None:
    origin = "http://evil.test/" + "x" * 300

    with pytest.raises(Refused, match="BEAM_ALLOWED_ORIGINS") as refused:
        negotiate(b"", [], origin, "h.test", allowed)

    assert refused.value.reason == "origin"
    assert "'http://evil.test/" in str(refused.value)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("reason", "status", "retry"),
    [
        ("malformed", 403, None),
        ("origin", 403, None),
        ("vsn", 403, None),
        ("token", 403, None),
        ("session", 403, None),
        ("path", 404, None),
        ("limit", 429, b"10"),
        ("failed", 500, None),
        ("unavailable", 503, b"5"),
        ("draining", 503, b"1"),
    ],
)
def test_only_what_will_not_change_is_403(
    reason: str, status: int, retry: bytes | None
) -> None:
    refusal = Refused("why", reason)

    assert refusal.status == status
    assert refusal.headers == ([(b"retry-after", retry)] if retry else [])
