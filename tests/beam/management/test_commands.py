"""The output of the commands, and their errors."""

from __future__ import annotations

from io import StringIO
from typing import Any

import httpx
import jwt
import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from beam.config.conf import conf
from rooms.messaging import publisher
from rooms.protocol.event import Event
from tests.processes import RedisServer


def run(*args: str) -> str:
    """The output of a command."""
    out = StringIO()
    call_command(*args, stdout=out, stderr=StringIO())
    return out.getvalue()


def claims(text: str) -> dict[str, Any]:
    """The claims of a printed token."""
    assert text.endswith("\n")
    [line] = text.splitlines()
    decoded: dict[str, Any] = jwt.decode(line, conf().token_secrets[0], ["HS256"])
    return decoded


def test_only_the_user_token_is_printed() -> None:
    said = claims(run("beam_token", "user", "ada", "--ttl", "60"))

    assert said == {"user_id": "ada", "exp": said["exp"]}


def test_a_room_token_has_all_claims_of_the_options() -> None:
    options = ["--user", "ada", "--can", "push, presence", "--meta", '{"role": "x"}']

    said = claims(run("beam_token", "room", "a/é", *options))

    del said["exp"]
    assert said == {
        "room_id": "a/é",
        "user_id": "ada",
        "can": ["push", "presence"],
        "meta": {"role": "x"},
    }


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["user", ""], "1 to 200 characters"),
        (["room", ""], "1 to 200 characters"),
        (["room", "a\nb"], "control characters"),
        (["room", "r", "--user", "x" * 201], "1 to 200 characters"),
        (["room", "r", "--can", "push,fly"], "not fly"),
        (["user", "a\udcff"], "surrogate pair"),
        (["room", "r\ud83d"], "surrogate pair"),
        (["room", "r", "--user", "a\nb"], "control characters"),
        (["room", "r", "--meta", "{"], "not JSON"),
        (["room", "r", "--meta", '{"a":NaN}'], "NaN and Infinity"),
        (["room", "r", "--meta", '{"a":"\\ud83d"}'], "surrogate pair"),
        (["room", "r", "--meta", "[]"], "JSON object"),
        (["user", "ada", "--ttl", "nan"], "--ttl must be a number of seconds"),
        (["user", "ada", "--ttl", "1e300"], "--ttl must be a number of seconds"),
    ],
)
def test_invalid_options_of_a_token_are_explained(
    args: list[str], expected: str
) -> None:
    with pytest.raises(CommandError, match=expected):
        run("beam_token", *args)


def test_a_token_without_a_secret_is_refused(settings: Settings) -> None:
    settings.BEAM = settings.BEAM | {"token_secrets": ()}

    with pytest.raises(CommandError, match="BEAM_TOKEN_SECRET"):
        run("beam_token", "user", "ada")


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["", "e", "{}"], "1 to 200"),
        (["r", "phx_close", "{}"], "begin with phx_, chan_reply or beam_"),
        (["r", "Chan_Reply_8", "{}"], "begin with phx_, chan_reply or beam_"),
        (["r", "", "{}"], "1 to 200 characters"),
        (["r", "e" * 201, "{}"], "1 to 200 characters"),
        (["r", "e\ud83d", "{}"], "surrogate pair"),
        (["r\ud83d", "e", "{}"], "surrogate pair"),
        (["r", "e", "{"], "not JSON"),
        (["r", "e", '{"a":NaN}'], "NaN and Infinity"),
        (["r", "e", '{"a":1e400}'], "too large for a double"),
        (["r", "e", '{"a":"\\ud83d"}'], "surrogate pair"),
        (["r", "e", '{"a":"\udcff"}'], "not valid UTF-8"),
        (["r", "e", "[" * 70 + "]" * 70], "nested too deeply"),
        (["r", "e", "[]"], "JSON object"),
    ],
)
def test_an_invalid_event_is_explained(args: list[str], expected: str) -> None:
    with pytest.raises(CommandError, match=expected):
        run("beam_send", *args)


def test_an_error_without_a_server_says_what_to_do(settings: Settings) -> None:
    settings.PORT = 1

    with pytest.raises(
        CommandError, match=r"Start the server \(`make run`\), or set HOST"
    ):
        run("beam_send", "r", "e", "{}")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (
            429,
            '{"error": {"code": "rate_limited", "message": "slow"}}',
            "_limited: slo",
        ),
        (
            401,
            '{"error": {"code": "u", "message": ""}}',
            "SECRET of this shell is not the",
        ),
        (404, "<html>\n</html>", "404. This may be another server"),
        (404, "[]", "404. This may be another server"),
    ],
)
@pytest.mark.parametrize("command", [["beam_send", "r", "e", "{}"], ["beam_rooms"]])
def test_a_refusal_of_the_server_is_shown(
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    status: int,
    body: str,
    expected: str,
) -> None:
    def refuse(method: str, url: str, **_: Any) -> httpx.Response:
        return httpx.Response(status, text=body, request=httpx.Request(method, url))

    monkeypatch.setattr(httpx, "request", refuse)

    with pytest.raises(CommandError, match=expected) as refused:
        run(*command)
    assert "\n" not in str(refused.value)


def test_a_redis_that_cannot_be_reached_is_named(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.BEAM = settings.BEAM | {"redis_url": "redis://:sesame@127.0.0.1:1/0"}

    with pytest.raises(CommandError, match=r"Redis at .* cannot be reached") as refused:
        run("beam_send", "r", "e", "{}")
    assert "sesame" not in str(refused.value)
    # It is said once.
    assert caplog.messages == []


@pytest.mark.redis
def test_an_unavailable_channel_layer_is_reported(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, shared_redis: RedisServer
) -> None:
    async def refuse(event: Event) -> None:
        raise publisher.NotPublished

    settings.BEAM = settings.BEAM | {"redis_url": shared_redis.url}
    monkeypatch.setattr(publisher, "published", refuse)

    with pytest.raises(CommandError, match="channel layer is unavailable"):
        run("beam_send", "r", "e", "{}")
