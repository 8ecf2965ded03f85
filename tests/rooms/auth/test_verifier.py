"""Tokens: who they are for, and what is refused."""

from __future__ import annotations

import asyncio
import base64
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings as django_settings
from pytest_django.fixtures import Settings

from beam.telemetry import metrics
from rooms.auth import grants, jwt_claims, jwt_tokens, opaque_tokens, verifier

ADA = grants.Identity("ada")
SECRET = django_settings.TOKEN_SECRETS[0]


# Seconds. Tokens in lists of parameters are made when the tests are collected, and must
# not expire, or begin to be valid, before the last test of a long run.
A_DAY = 86_400


def token(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """A token with these claims that expires tomorrow, unless `exp` is given."""
    return jwt.encode({"exp": time.time() + A_DAY, **claims}, secret, algorithm)


def forged(header: object) -> str:
    """A token with a header of one's own making."""
    parts: list[Any] = [header, {"user_id": "ada", "exp": time.time() + A_DAY}, {}]
    encoded = (base64.urlsafe_b64encode(orjson.dumps(part)) for part in parts)
    return b".".join(part.rstrip(b"=") for part in encoded).decode()


async def test_a_user_token_says_who() -> None:
    assert await verifier.identify(jwt_tokens.mint_user("ada", 60)) == ADA
    assert await verifier.identify(token(user_id=5)) == grants.Identity("5")


@pytest.mark.parametrize(
    "bad",
    [
        None,
        5,
        ["x"],
        "",
        "x.y.z",
        token(user_id="ada", exp=time.time() - 31),
        token("another-secret-that-is-long-enough-for-hs256", user_id="ada"),
        token(user_id=""),
        token(user_id=None),
        token(user_id=True),
        token(user_id=["ada"]),
        token(user_id="x" * 201),
        token(user_id="\ud800"),
        token(user_id="a\nb"),
        token(user_id="ada", exp=float("nan")),
        token(user_id="ada", exp=float("inf")),
        forged({"alg": []}),
        forged({"alg": {}}),
        forged({"alg": None}),
        forged({"alg": "HS256", "kid": []}),
        forged([]),
        token(),
        token(user_id="ada", room_id="r"),
        token(user_id="ada", nbf=time.time() + A_DAY),
        jwt.encode({"user_id": "ada"}, SECRET, "HS256"),
        token(SECRET * 2, "HS512", user_id="ada"),
        token("", "none", user_id="ada"),
    ],
    # Names that do not change with the time.
    ids=lambda _: "bad",
)
async def test_a_user_token_that_is_not_good_is_refused(bad: object) -> None:
    with pytest.raises(grants.Unauthorized):
        await verifier.identify(bad)


UNUSED: list[dict[str, Any]] = [
    {"sub": 42},
    {"sub": None},
    {"sub": ["ada"]},
    {"jti": 7},
    {"jti": {}},
    {"iat": None},
    {"iat": "today"},
    {"iat": []},
    {"iat": time.time() + A_DAY},
    {"iat": time.time() * 1_000},
    {"iss": "anybody", "aud": 5},
    {"nbf": None},
]


# Names that do not change with the time.
@pytest.mark.parametrize("unused", UNUSED, ids=lambda claims: "-".join(claims))
async def test_claims_that_decide_nothing_are_not_judged(
    unused: dict[str, Any],
) -> None:
    assert await verifier.identify(token(user_id="ada", **unused)) == ADA
    grant = await verifier.authorize(token(room_id="r", **unused), "r", ADA)
    assert grant.room_id == "r"


@pytest.mark.parametrize(
    ("value", "user_id"), [(42, "42"), (0, "0"), (-1, "-1"), (2**63, str(2**63))]
)
async def test_a_number_is_an_id(settings: Settings, value: int, user_id: str) -> None:
    settings.BEAM = settings.BEAM | {"token_user_claim": "sub"}
    ada = grants.Identity(user_id)

    assert await verifier.identify(token(sub=value)) == ada
    assert await verifier.identify(token(user_id=value)) == ada
    grant = await verifier.authorize(token(room_id=value, user_id=value), user_id, ada)
    assert (grant.room_id, grant.user_id) == (user_id, user_id)


NOW = time.time()
REASONS: list[tuple[dict[str, Any], str]] = [
    ({"exp": NOW * 1_000 + 60_000}, "`exp` is after the year 9999.*milliseconds"),
    ({"exp": int(NOW * 1_000)}, "`exp` is after the year 9999.*milliseconds"),
    ({"exp": jwt_claims.LAST_DATE + 1}, "milliseconds"),
    ({"exp": 10**400}, "milliseconds"),
    ({"exp": float("inf")}, "milliseconds"),
    ({"exp": float("-inf")}, "`exp` is not a number of seconds"),
    ({"exp": float("nan")}, "`exp` is not a number of seconds"),
    ({"exp": str(int(NOW + A_DAY))}, "`exp` is not a number of seconds"),
    ({"exp": True}, "`exp` is not a number of seconds"),
    ({"exp": []}, "`exp` is not a number of seconds"),
    ({"exp": None}, "no `exp`"),
    ({"exp": 0}, "expired"),
    ({"exp": NOW - 40}, r"expired \d+ s ago"),
    ({"nbf": NOW * 1_000}, "`nbf` is after the year 9999.*milliseconds"),
    ({"nbf": {}}, "`nbf` is not a number of seconds"),
    ({"nbf": False}, "`nbf` is not a number of seconds"),
    ({"nbf": NOW + A_DAY}, "not valid for .* s yet"),
    ({"user_id": True}, "text or a whole number"),
    ({"user_id": 1.5}, "text or a whole number"),
    ({"user_id": ""}, "1 to 200 characters"),
    ({"user_id": None}, "no `user_id`"),
    ({"room_id": "r"}, "room token"),
]


@pytest.mark.parametrize(("claims", "reason"), REASONS, ids=lambda _: "claims")
async def test_a_refusal_says_what_is_wrong(
    claims: dict[str, Any], reason: str
) -> None:
    with pytest.raises(grants.Unauthorized, match=reason):
        await verifier.identify(token(**({"user_id": "ada"} | claims)))


async def test_a_refusal_names_phps_empty_array() -> None:
    with pytest.raises(grants.Unauthorized, match=r"stdClass"):
        await verifier.authorize(token(room_id="r", meta=[]), "r", ADA)
    with pytest.raises(grants.Unauthorized, match="must be a list, not text"):
        await verifier.authorize(token(room_id="r", can="push"), "r", ADA)


@pytest.mark.parametrize("exp", [jwt_claims.LAST_DATE, 4_102_444_800.5])
async def test_a_date_within_the_year_9999_is_good(exp: float) -> None:
    assert await verifier.identify(token(user_id="ada", exp=exp)) == ADA
    assert (
        await verifier.authorize(token(room_id="r", exp=exp), "r", ADA)
    ).expires == exp


async def test_a_refusal_names_the_setting_that_decides() -> None:
    other = token("another-secret-that-is-long-enough-for-hs256", user_id="ada")
    with pytest.raises(grants.Unauthorized, match="BEAM_TOKEN_SECRET"):
        await verifier.identify(other)
    with pytest.raises(grants.Unauthorized, match=r"room 'other', not for 'r'"):
        await verifier.authorize(jwt_tokens.mint_room("other", 60), "r", ADA)
    with pytest.raises(grants.Unauthorized, match=r"user 'bob', not for 'ada'"):
        await verifier.authorize(jwt_tokens.mint_room("r", 60, user_id="bob"), "r", ADA)
    with pytest.raises(grants.Unauthorized, match="not one of HS256, ES256"):
        await verifier.identify(token(SECRET * 2, "HS512", user_id="ada"))
    with pytest.raises(grants.Unauthorized, match="no `room_id`"):
        await verifier.authorize(jwt_tokens.mint_user("ada", 60), "r", ADA)


async def test_a_token_signed_with_a_private_key_is_refused() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    foreign = jwt.encode({"user_id": "ada", "exp": time.time() + 60}, key, "RS256")

    with pytest.raises(grants.Unauthorized):
        await verifier.identify(foreign)


async def test_expiry_has_a_leeway_of_30_seconds() -> None:
    assert await verifier.identify(token(user_id="ada", exp=time.time() - 25)) == ADA


async def test_every_secret_verifies_and_the_first_signs(settings: Settings) -> None:
    old, new = "o" * 32, "n" * 32
    signed_before = token(old, user_id="ada")
    settings.BEAM = settings.BEAM | {"token_secrets": (new, old)}

    assert await verifier.identify(signed_before) == ADA
    assert jwt.decode(jwt_tokens.mint_user("ada", 60), new, algorithms=["HS256"])


async def test_a_room_token_says_which_room_and_what() -> None:
    text = jwt_tokens.mint_room("r", 60, user_id="ada", can=["push"], meta={"x": 1})

    grant = await verifier.authorize(text, "r", ADA)

    assert grant.expires is not None
    assert 0 < grant.expires - time.time() <= 60
    assert grant == grants.RoomGrant(
        "r", "ada", frozenset({"push"}), {"x": 1}, grant.expires
    )


async def test_a_room_token_allows_everything_by_default() -> None:
    grant = await verifier.authorize(jwt_tokens.mint_room("r", 60), "r", ADA)

    assert grant.can == {"push", "presence"}


@pytest.mark.parametrize(
    "bad",
    [
        jwt_tokens.mint_user("ada", 60),
        jwt_tokens.mint_room("other", 60),
        jwt_tokens.mint_room("r", 60, user_id="bob"),
        jwt_tokens.mint_room("r", -31),
        token(room_id="r", can="push"),
        token(room_id="r", meta=[]),
        token(room_id=["r"]),
        token(room_id="r", meta={"name": "\ud800"}),
        token(room_id="r", meta={"\ud800": 1}),
        token(room_id="r", meta={"x": float("nan")}),
        token(room_id="r", meta={"x": [float("inf")]}),
        token(room_id="r", meta={"big": 2**70}),
        token(room_id="r", exp=10**400),
        token(room_id="r", user_id="a\x00b"),
        token("another-secret-that-is-long-enough-for-hs256", room_id="r"),
        {"room_id": "r"},
    ],
)
async def test_a_room_token_that_is_not_good_is_refused(bad: object) -> None:
    with pytest.raises(grants.Unauthorized):
        await verifier.authorize(bad, "r", ADA)


REDIRECTS = (301, 302, 307, 308)


class Backend(BaseHTTPRequestHandler):
    """The original's backend, as far as `decode_token` goes."""

    requests: list[dict[str, Any]]
    answers: dict[str, tuple[int, Any]]

    def do_POST(self) -> None:
        """Answer as told for this token."""
        size = int(self.headers["content-length"])
        body = orjson.loads(self.rfile.read(size))
        secret = self.headers["oorja-secret"]
        self.requests.append(body | {"path": self.path, "secret": secret})
        status, data = self.answers[body["token"]]
        raw = data if isinstance(data, bytes) else orjson.dumps(data)
        self.send_response(status)
        if status in REDIRECTS:
            self.send_header("location", "https://other.example/decode?key=sesame")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(raw)

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def backend_door(settings: Settings) -> Iterator[type[Backend]]:
    """A backend that decodes tokens, and the settings that use it."""
    kind = type("OneBackend", (Backend,), {"requests": [], "answers": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/"
    settings.BEAM = settings.BEAM | {
        "backend_url": url,
        "api_secrets": ("abcd",),
        "backend_timeout": 0.5,
    }
    yield kind
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
async def client_closed() -> Any:
    """The backend's client of this loop is closed with the test."""
    yield
    in_force = verifier.verifier()
    if isinstance(in_force, opaque_tokens.BackendVerifier):
        await in_force.close()


pytestmark = pytest.mark.usefixtures("client_closed")


async def test_the_backend_is_asked_as_the_original_asked(
    backend_door: type[Backend],
) -> None:
    backend_door.answers["t"] = (200, {"status": 200, "data": {"user_id": "ada"}})

    assert await verifier.identify("t") == ADA
    assert backend_door.requests == [
        {
            "type": "user",
            "token": "t",
            "path": "/api/v1/private/decode_token",
            "secret": "abcd",
        }
    ]


async def test_a_positive_answer_is_kept_for_a_while(
    backend_door: type[Backend],
) -> None:
    backend_door.answers["t"] = (200, {"data": {"user_id": "ada", "room_id": "r"}})

    for _ in range(3):
        assert await verifier.identify("t") == ADA
        assert (await verifier.authorize("t", "r", ADA)).room_id == "r"

    assert [request["type"] for request in backend_door.requests] == ["user", "room"]


@pytest.mark.parametrize("data", [None, {}, {"user_id": None}, {"room_id": "r"}, []])
async def test_the_backends_refusal_is_unauthorized(
    backend_door: type[Backend], data: Any
) -> None:
    backend_door.answers["t"] = (200, {"data": data})

    for _ in range(2):
        with pytest.raises(grants.Unauthorized):
            await verifier.identify("t")

    assert len(backend_door.requests) == 2


@pytest.mark.parametrize(
    "answer", [(500, b"oops"), (401, {}), (200, b"no json"), (200, [])]
)
async def test_a_backend_in_trouble_is_no_refusal(
    backend_door: type[Backend],
    answer: tuple[int, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend_door.answers["secret-token"] = answer

    for _ in range(3):
        with pytest.raises(grants.BackendUnavailable):
            await verifier.identify("secret-token")

    lines = [line for line in caplog.messages if "backend" in line]
    assert len(lines) == 1
    assert "secret-token" not in caplog.text


@pytest.mark.parametrize("status", REDIRECTS)
async def test_a_backends_redirect_is_named_and_not_followed(
    backend_door: type[Backend], caplog: pytest.LogCaptureFixture, status: int
) -> None:
    backend_door.answers["t"] = (status, b"")

    with pytest.raises(grants.BackendUnavailable):
        await verifier.identify("t")

    [line] = caplog.messages
    assert line.endswith("it redirects to https://other.example")
    assert "sesame" not in caplog.text
    assert len(backend_door.requests) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"<html>", "its answer is not JSON"),
        (b"[]", "its answer is a list, not an object with `data`"),
        (b"x" * 1_100_000, "larger than 1,048,576 bytes"),
    ],
)
async def test_the_log_says_what_the_backend_did_wrong(
    backend_door: type[Backend],
    caplog: pytest.LogCaptureFixture,
    settings: Settings,
    answer: bytes,
    reason: str,
) -> None:
    settings.BEAM = settings.BEAM | {"backend_timeout": 30.0}
    backend_door.answers["t"] = (200, answer)

    with pytest.raises(grants.BackendUnavailable):
        await verifier.identify("t")

    assert reason in caplog.text


async def test_a_mark_before_json_is_ignored(backend_door: type[Backend]) -> None:
    backend_door.answers["t"] = (200, b'\xef\xbb\xbf{"data": {"user_id": 42}}')

    assert await verifier.identify("t") == grants.Identity("42")


async def test_a_backend_that_comes_back_is_asked_again(
    backend_door: type[Backend], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    backend_door.answers["t"] = (500, b"")
    with pytest.raises(grants.BackendUnavailable):
        await verifier.identify("t")
    backend_door.answers["t"] = (200, {"data": {"user_id": "ada"}})

    assert await verifier.identify("t") == ADA
    assert "The backend decodes tokens again" in caplog.messages


async def test_a_backend_that_fails_again_and_again_is_left_alone(
    backend_door: type[Backend], settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"backend_failures": 2, "backend_pause": 0.05}
    backend_door.answers["t"] = (503, b"")
    failed, skipped = metrics.DECODES_FAILED.value, metrics.DECODES_SKIPPED.value

    for _ in range(5):
        with pytest.raises(grants.BackendUnavailable):
            await verifier.identify("t")

    assert len(backend_door.requests) == 2
    assert metrics.DECODES_FAILED.value == failed + 2
    assert metrics.DECODES_SKIPPED.value == skipped + 3
    backend_door.answers["t"] = (200, {"data": {"user_id": "ada"}})
    async with asyncio.timeout(5):
        assert await _sooner_or_later("t") == ADA


@pytest.mark.parametrize("answer", [(500, b"oops"), (401, {}), (404, b"")])
async def test_bad_tokens_do_not_lock_out_good_ones(
    backend_door: type[Backend], settings: Settings, answer: tuple[int, Any]
) -> None:
    settings.BEAM = settings.BEAM | {"backend_failures": 2}
    backend_door.answers |= {"bad": answer, "t": (200, {"data": {"user_id": "ada"}})}

    for _ in range(10):
        with pytest.raises(grants.BackendUnavailable):
            await verifier.identify("bad")

    assert await verifier.identify("t") == ADA


async def test_an_answer_without_data_is_a_refusal(backend_door: type[Backend]) -> None:
    backend_door.answers["t"] = (200, {"status": "no such token"})

    with pytest.raises(grants.Unauthorized):
        await verifier.identify("t")


async def _sooner_or_later(token: str) -> grants.Identity:
    while True:
        try:
            return await verifier.identify(token)
        except grants.BackendUnavailable:
            await asyncio.sleep(0.01)


async def test_nobody_listening_is_no_refusal(settings: Settings) -> None:
    settings.BEAM = settings.BEAM | {"backend_url": "http://127.0.0.1:1"}

    with pytest.raises(grants.BackendUnavailable):
        await verifier.identify("t")


async def test_the_cache_is_bounded(
    backend_door: type[Backend], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opaque_tokens.BackendVerifier, "MAX_CACHED", 2)
    for name in ("t1", "t2", "t3"):
        backend_door.answers[name] = (200, {"data": {"user_id": name}})
        await verifier.identify(name)

    await asyncio.gather(*(verifier.identify(name) for name in ("t2", "t3")))
    await verifier.identify("t1")

    assert [request["token"] for request in backend_door.requests] == [
        "t1", "t2", "t3", "t1",
    ]  # fmt: skip
