"""Keys of an identity provider: fetched from its JWKS URL, cached, and used."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from beam.telemetry import metrics
from rooms.auth import grants, verifier
from rooms.auth.jwks import Jwks, ProviderUnavailable
from tests.rooms.auth.keys import jwk, token

ADA = grants.Identity("ada")


class Provider:
    """An identity provider on the loopback interface, which counts its requests."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.requests = 0
        self.status = 200
        self.body: bytes | None = None
        self.redirects: dict[str, str] = {}
        self.pause = 0.0
        self.released = threading.Event()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.requests += 1
                body = provider.body or json.dumps({"keys": provider.keys}).encode()
                if self.path in provider.redirects:
                    self.send_response(302)
                    self.send_header("location", provider.redirects[self.path])
                    self.send_header("content-length", "0")
                    self.end_headers()
                    return
                self.send_response(provider.status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.write(body)

            def write(self, body: bytes) -> None:
                with suppress(OSError):
                    if not provider.pause:
                        self.wfile.write(body)
                        return
                    for byte in body:
                        self.wfile.write(bytes([byte]))
                        if provider.released.wait(provider.pause):
                            return

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"

    def publish(self, algorithm: str, kid: str | None, **more: Any) -> None:
        """Add a key."""
        named = {} if kid is None else {"kid": kid}
        self.keys.append({**jwk(algorithm), **named, **more})


@pytest.fixture
def provider(configure: Callable[..., None]) -> Iterator[Provider]:
    """A provider whose keys may be fetched again at once."""
    one = Provider()
    thread = threading.Thread(target=one.server.serve_forever, daemon=True)
    thread.start()
    configure(token_jwks_url=one.url, jwks_retry=0.001)
    yield one
    one.released.set()
    one.server.shutdown()
    one.server.server_close()
    thread.join()


async def test_published_keys_are_fetched_once(provider: Provider) -> None:
    provider.publish("RS256", "a")
    provider.publish("ES256", "b")

    for algorithm, kid in (("RS256", "a"), ("ES256", "b"), ("RS256", "a")):
        assert (
            await verifier.identify(token(algorithm, None, kid, user_id="ada")) == ADA
        )

    assert provider.requests == 1


async def test_an_unknown_key_id_causes_a_new_fetch(provider: Provider) -> None:
    provider.publish("RS256", "old")
    await verifier.identify(token("RS256", None, "old", user_id="ada"))
    provider.publish("ES256", "new")
    await asyncio.sleep(0.002)

    assert await verifier.identify(token("ES256", None, "new", user_id="ada")) == ADA
    assert provider.requests == 2


async def test_unknown_key_ids_cause_one_fetch_per_jwks_retry(
    provider: Provider, configure: Callable[..., None]
) -> None:
    configure(jwks_retry=60.0)
    provider.publish("RS256", "a")

    for n in range(5):
        with pytest.raises(grants.Unauthorized):
            await verifier.identify(token("RS256", None, f"made up {n}", user_id="ada"))

    assert provider.requests == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"{}"),
        (200, b"no JSON"),
        (200, b"[" * 200_000),
        (200, b"{}"),
        (200, b"[]"),
        (200, b'{"keys": null}'),
        (200, b'{"keys": []}'),
        (200, b'{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "a"}, 5]}'),
    ],
)
async def test_keys_stay_valid_while_the_provider_is_unavailable(
    provider: Provider,
    configure: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    status: int,
    body: bytes,
) -> None:
    configure(jwks_seconds=0.001)
    provider.publish("RS256", "a")
    text = token("RS256", None, "a", user_id="ada")
    in_force = verifier.verifier()
    await in_force.user(text)
    provider.status, provider.body = status, body

    for _ in range(3):
        await asyncio.sleep(0.002)
        assert await in_force.user(text) == ADA

    assert provider.requests == 4
    assert [line.name for line in caplog.records].count("rooms.auth.jwks") == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": 500}, "it answers 500"),
        ({"body": b"sesame"}, "its answer is not JSON"),
        ({"body": b'["sesame"]'}, "its answer is not a JWKS"),
        ({"body": b'{"keys": []}'}, "its JWKS has no key that can verify a token"),
        ({"body": b"x" * 1_100_000}, "its answer is larger than 1,048,576 bytes"),
        ({"redirects": {"/keys?key=sesame": "/keys?key=sesame"}}, "it redirects more"),
        ({"redirects": {"/keys?key=sesame": "ftp://a/b"}}, "UnsupportedProtocol"),
        ({"url": "http://127.0.0.1:1"}, "ConnectError"),
    ],
)
async def test_the_log_names_the_host_and_the_kind_of_failure(
    provider: Provider,
    configure: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    change: dict[str, Any],
    reason: str,
) -> None:
    vars(provider).update(change)
    secret = provider.url.replace("//", "//eve:sesame@") + "?key=sesame"
    configure(token_jwks_url=secret, jwks_retry=0.001, backend_timeout=30.0)
    caplog.set_level(logging.INFO)

    with pytest.raises(grants.BackendUnavailable):
        await verifier.identify(token("RS256", user_id="ada"))

    [line] = [one for one in caplog.records if one.name == "rooms.auth.jwks"]
    assert line.getMessage().startswith(
        f"The JWKS of 127.0.0.1 cannot be fetched: {reason}"
    )
    assert "sesame" not in caplog.text


@pytest.mark.parametrize(
    ("status", "body"), [(500, b"{}"), (200, b"[" * 200_000), (200, b'{"keys": []}')]
)
async def test_a_provider_that_never_answered_is_not_a_refusal(
    provider: Provider, status: int, body: bytes
) -> None:
    provider.status, provider.body = status, body

    with pytest.raises(grants.BackendUnavailable):
        await verifier.identify(token("RS256", user_id="ada"))


class Clock:
    """Monotonic seconds, set by the test."""

    now = 1_000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


async def test_a_failed_first_fetch_is_repeated_after_1_2_4_seconds(
    provider: Provider, configure: Callable[..., None]
) -> None:
    configure(jwks_retry=30.0)
    provider.publish("RS256", "a")
    provider.status = 500
    clock = Clock()
    jwks = Jwks(provider.url, clock)
    failed = metrics.JWKS_FAILED.value

    for requests, pause in enumerate((1, 2, 4, 8, 16, 30, 30), start=1):
        for _ in range(2):
            with pytest.raises(ProviderUnavailable):
                await jwks.find("a")
            assert provider.requests == requests
        clock.now += pause - 0.01
        with pytest.raises(ProviderUnavailable):
            await jwks.find("a")
        assert provider.requests == requests
        clock.now += 0.02
    provider.status = 200

    assert metrics.JWKS_FAILED.value == failed + 7
    assert [key.kid for key in await jwks.find("a")] == ["a"]


async def test_with_keys_a_failed_fetch_waits_for_jwks_retry(
    provider: Provider, configure: Callable[..., None]
) -> None:
    configure(jwks_retry=30.0, jwks_seconds=300.0)
    provider.publish("RS256", "a")
    clock = Clock()
    jwks = Jwks(provider.url, clock)
    await jwks.find("a")
    provider.status = 500
    clock.now += 301

    for moment, requests in ((0, 2), (29, 2), (2, 3)):
        clock.now += moment
        assert [key.kid for key in await jwks.find("a")] == ["a"]
        assert provider.requests == requests


@pytest.mark.parametrize("status", [200, 500])
async def test_joins_at_once_share_one_fetch(
    provider: Provider, configure: Callable[..., None], status: int
) -> None:
    configure(jwks_retry=30.0)
    provider.publish("RS256", "a")
    provider.status = status
    text = token("RS256", None, "a", user_id="ada")
    in_force = verifier.verifier()

    found = await asyncio.gather(
        *(in_force.user(text) for _ in range(50)), return_exceptions=True
    )

    assert provider.requests == 1
    assert {type(one) for one in found} == {
        grants.Identity if status == 200 else grants.BackendUnavailable
    }


async def test_a_provider_that_sends_slowly_is_cut_off(
    provider: Provider, configure: Callable[..., None]
) -> None:
    configure(backend_timeout=0.2)
    provider.publish("RS256", "a")
    provider.pause = 0.05

    async with asyncio.timeout(5):
        with pytest.raises(grants.BackendUnavailable):
            await verifier.identify(token("RS256", None, "a", user_id="ada"))


async def test_redirects_are_followed(provider: Provider) -> None:
    provider.publish("RS256", "a")
    provider.redirects = {f"/keys/{n}": f"/keys/{n - 1}" for n in range(1, 6)}
    base = provider.url

    assert await Jwks(f"{base}/5").find("a")
    assert provider.requests == 6
    provider.redirects["/keys/6"] = f"{base}/5"
    with pytest.raises(ProviderUnavailable):
        await Jwks(f"{base}/6").find("a")


async def test_the_use_of_a_published_key_is_respected(provider: Provider) -> None:
    provider.publish("RS256", "a", alg="RS512")
    provider.publish("ES256", "b", use="enc")
    provider.keys.append({"kty": "oct", "k": "c2VjcmV0", "kid": "c"})
    provider.keys.append({"kty": "strange", "kid": "d"})

    for bad in (
        token("RS256", None, "a", user_id="ada"),
        token("ES256", None, "b", user_id="ada"),
    ):
        with pytest.raises(grants.Unauthorized):
            await verifier.identify(bad)
    good = token("RS512", None, "a", user_id="ada")
    assert await verifier.identify(good) == ADA


@pytest.mark.parametrize(
    "broken",
    [
        {"alg": ["RS256"]},
        {"alg": "none"},
        {"kid": ["a"]},
        {"kty": ["RSA"]},
        {"kty": "EC", "crv": ["P-256"]},
        {"n": 5},
        {"n": "AQAB"},
        {"e": None},
        {"use": ["sig"]},
        {"key_ops": 5},
    ],
)
async def test_an_invalid_key_does_not_affect_the_others(
    provider: Provider, broken: dict[str, Any]
) -> None:
    provider.publish("RS256", "a")
    provider.keys[0] |= broken
    provider.publish("ES256", "b")

    good = token("ES256", None, "b", user_id="ada")
    assert await verifier.identify(good) == ADA
    with pytest.raises(grants.Unauthorized):
        await verifier.identify(token("RS256", None, "a", user_id="ada"))


async def test_a_key_without_an_id_verifies_every_token(provider: Provider) -> None:
    provider.publish("RS256", "a")
    provider.publish("ES256", None)

    for kid in (None, "b"):
        assert await verifier.identify(token("ES256", None, kid, user_id="ada")) == ADA
    with pytest.raises(grants.Unauthorized):
        await verifier.identify(token("RS256", None, "b", user_id="ada"))
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(grants.Unauthorized):
        await verifier.identify(token("ES256", other, "b", user_id="ada"))


async def test_no_fetch_is_made_for_a_key_id_if_keys_have_no_ids(
    provider: Provider,
) -> None:
    provider.publish("ES256", None)

    for n in range(3):
        await asyncio.sleep(0.002)
        text = token("ES256", None, f"made up {n}", user_id="ada")
        assert await verifier.identify(text) == ADA

    assert provider.requests == 1


async def test_an_unknown_key_id_causes_a_fetch_if_only_some_keys_have_no_id(
    provider: Provider,
) -> None:
    provider.publish("ES256", None)
    provider.publish("RS512", "old")
    await verifier.identify(token("ES256", user_id="ada"))
    provider.publish("RS256", "new")
    await asyncio.sleep(0.002)

    text = token("RS256", None, "new", user_id="ada")
    assert await verifier.identify(text) == ADA
