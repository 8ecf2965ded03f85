"""Tokens of the users' identity provider: by its public key, or its JWKS."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings as django_settings
from jwt.algorithms import get_default_algorithms
from pytest_django.fixtures import Settings

from beam.config.public_keys import BadKey, from_jwk, from_pem
from beam.telemetry import metrics
from rooms.auth import grants, jwt_tokens, verifier
from rooms.auth.failures import BadAnswer
from rooms.auth.http_client import fetch, is_downgrade
from rooms.auth.jwks import Jwks, ProviderUnavailable

ADA = grants.Identity("ada")
SECRET = django_settings.TOKEN_SECRETS[0]
RSA = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
KEYS: dict[str, Any] = {
    "RS256": RSA,
    "RS512": RSA,
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def pem(key: Any) -> str:
    """A private key's public one."""
    public = key.public_key()
    text: bytes = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return text.decode()


def jwk(algorithm: str) -> dict[str, Any]:
    """The public key for an algorithm, as a JWKS has it."""
    kind = get_default_algorithms()[algorithm]
    described: dict[str, Any] = kind.to_jwk(KEYS[algorithm].public_key(), as_dict=True)
    return described


def token(
    algorithm: str, key: Any = None, kid: str | None = None, **claims: Any
) -> str:
    """A token that the provider has signed, good for a minute."""
    return jwt.encode(
        {"exp": time.time() + 60, **claims},
        key or KEYS[algorithm],
        algorithm,
        headers={"kid": kid} if kid else None,
    )


def confused(public: str) -> str:
    """A token whose shared secret is the public key, known to everybody."""

    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    claims = {"user_id": "ada", "exp": int(time.time()) + 60}
    head = json.dumps({"alg": "HS256", "typ": "JWT"}).encode()
    text = part(head) + b"." + part(json.dumps(claims).encode())
    return (text + b"." + part(hmac.digest(public.encode(), text, "sha256"))).decode()


@pytest.fixture
def configure(settings: Settings) -> Callable[..., None]:
    """Set settings of `BEAM`."""

    def configure(**given: Any) -> None:
        settings.BEAM = settings.BEAM | given

    return configure


@pytest.mark.parametrize("algorithm", list(KEYS))
async def test_every_usual_algorithm_is_verified(
    configure: Callable[..., None], algorithm: str
) -> None:
    configure(token_public_key=pem(KEYS[algorithm]).replace("\n", "\\n"))

    assert await verifier.identify(token(algorithm, user_id="ada")) == ADA
    grant = await verifier.authorize(token(algorithm, room_id="r"), "r", ADA)
    assert grant.room_id == "r"


async def test_own_tokens_are_good_beside(configure: Callable[..., None]) -> None:
    configure(token_public_key=pem(RSA) + pem(KEYS["ES256"]))

    assert await verifier.identify(jwt_tokens.mint_user("ada", 60)) == ADA
    for algorithm in ("RS256", "ES256"):
        assert await verifier.identify(token(algorithm, user_id="ada")) == ADA


@pytest.mark.parametrize(
    "bad",
    [
        token("RS256", rsa.generate_private_key(65_537, 2_048), user_id="ada"),
        token("RS256", user_id="ada", exp=time.time() - 31),
        token("EdDSA", user_id="ada"),
        confused(pem(RSA)),
        jwt.encode({"user_id": "ada", "exp": time.time() + 60}, "", "none"),
        jwt.encode({"user_id": "ada"}, RSA, "RS256"),
        token("RS256", user_id=""),
    ],
    # Names that do not change with the time.
    ids=lambda _: "bad",
)
async def test_what_the_provider_did_not_sign_is_refused(
    configure: Callable[..., None], bad: str
) -> None:
    configure(token_public_key=pem(RSA))

    with pytest.raises(grants.Unauthorized):
        await verifier.identify(bad)


async def test_without_a_public_key_no_such_token_is_good() -> None:
    with pytest.raises(grants.Unauthorized):
        await verifier.identify(token("RS256", user_id="ada"))


async def test_issuer_audience_and_claim_names(configure: Callable[..., None]) -> None:
    configure(
        token_public_key=pem(RSA),
        token_issuer="https://id.example",
        token_audience="beam",
        token_user_claim="sub",
    )
    good: dict[str, Any] = {
        "sub": "ada",
        "iss": "https://id.example",
        "aud": ["beam", "other"],
    }

    assert await verifier.identify(token("RS256", **good)) == ADA
    assert await verifier.identify(jwt_tokens.mint_user("ada", 60)) == ADA
    for wrong in ({"iss": "https://evil.example"}, {"aud": "other"}, {"sub": None}):
        with pytest.raises(grants.Unauthorized):
            await verifier.identify(token("RS256", **(good | wrong)))
    for missing in ("iss", "aud"):
        rest = {name: value for name, value in good.items() if name != missing}
        with pytest.raises(grants.Unauthorized):
            await verifier.identify(token("RS256", **rest))


async def test_a_numeric_subject_is_a_user(configure: Callable[..., None]) -> None:
    configure(token_public_key=pem(RSA), token_user_claim="sub")
    claims: dict[str, Any] = {"sub": 42, "jti": 7, "iat": None}

    assert await verifier.identify(token("RS256", **claims)) == grants.Identity("42")


async def test_what_no_key_fits_is_said(configure: Callable[..., None]) -> None:
    with pytest.raises(grants.Unauthorized, match="BEAM_TOKEN_PUBLIC_KEY"):
        await verifier.identify(token("RS256", user_id="ada"))
    configure(token_public_key=pem(RSA), token_issuer="https://id.example")
    with pytest.raises(grants.Unauthorized, match="no public key"):
        await verifier.identify(token("ES256", user_id="ada"))
    with pytest.raises(grants.Unauthorized, match="token_issuer"):
        await verifier.identify(token("RS256", user_id="ada", iss="https://other"))
    with pytest.raises(grants.Unauthorized, match="no `iss`"):
        await verifier.identify(token("RS256", user_id="ada"))


class Provider:
    """An identity provider on the loopback, and what it was asked."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.asked = 0
        self.status = 200
        self.body: bytes | None = None
        self.redirects: dict[str, str] = {}
        self.pause = 0.0
        self.released = threading.Event()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked += 1
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
        """One key more."""
        named = {} if kid is None else {"kid": kid}
        self.keys.append({**jwk(algorithm), **named, **more})


@pytest.fixture
def provider(configure: Callable[..., None]) -> Iterator[Provider]:
    """A provider whose keys may be asked for anew at once."""
    one = Provider()
    thread = threading.Thread(target=one.server.serve_forever, daemon=True)
    thread.start()
    configure(token_jwks_url=one.url, jwks_retry=0.001)
    yield one
    one.released.set()
    one.server.shutdown()
    one.server.server_close()
    thread.join()


async def test_published_keys_are_asked_for_once(provider: Provider) -> None:
    provider.publish("RS256", "a")
    provider.publish("ES256", "b")

    for algorithm, kid in (("RS256", "a"), ("ES256", "b"), ("RS256", "a")):
        assert (
            await verifier.identify(token(algorithm, None, kid, user_id="ada")) == ADA
        )

    assert provider.asked == 1


async def test_an_unknown_key_id_asks_anew(provider: Provider) -> None:
    provider.publish("RS256", "old")
    await verifier.identify(token("RS256", None, "old", user_id="ada"))
    provider.publish("ES256", "new")
    await asyncio.sleep(0.002)

    assert await verifier.identify(token("ES256", None, "new", user_id="ada")) == ADA
    assert provider.asked == 2


async def test_unknown_key_ids_ask_no_more_often_than_they_may(
    provider: Provider, configure: Callable[..., None]
) -> None:
    configure(jwks_retry=60.0)
    provider.publish("RS256", "a")

    for n in range(5):
        with pytest.raises(grants.Unauthorized):
            await verifier.identify(token("RS256", None, f"made up {n}", user_id="ada"))

    assert provider.asked == 1


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
async def test_while_the_provider_is_away_its_keys_stay_good(
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

    assert provider.asked == 4
    assert [line.name for line in caplog.records].count("rooms.auth.jwks") == 1


@pytest.mark.parametrize(
    ("change", "told"),
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
    told: str,
) -> None:
    vars(provider).update(change)
    secret = provider.url.replace("//", "//eve:sesame@") + "?key=sesame"
    configure(token_jwks_url=secret, jwks_retry=0.001, backend_timeout=30.0)
    caplog.set_level(logging.INFO)

    with pytest.raises(grants.BackendUnavailable):
        await verifier.identify(token("RS256", user_id="ada"))

    [line] = [one for one in caplog.records if one.name == "rooms.auth.jwks"]
    assert line.getMessage().startswith(
        f"The JWKS of 127.0.0.1 cannot be fetched: {told}"
    )
    assert "sesame" not in caplog.text


@pytest.mark.parametrize(
    ("status", "body"), [(500, b"{}"), (200, b"[" * 200_000), (200, b'{"keys": []}')]
)
async def test_a_provider_that_never_answered_is_no_refusal(
    provider: Provider, status: int, body: bytes
) -> None:
    provider.status, provider.body = status, body

    with pytest.raises(grants.BackendUnavailable):
        await verifier.identify(token("RS256", user_id="ada"))


class Clock:
    """Monotonic seconds that pass when a test says so."""

    now = 1_000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


async def test_a_failed_first_fetch_is_tried_again_soon(
    provider: Provider, configure: Callable[..., None]
) -> None:
    configure(jwks_retry=30.0)
    provider.publish("RS256", "a")
    provider.status = 500
    clock = Clock()
    jwks = Jwks(provider.url, clock)
    failed = metrics.JWKS_FAILED.value

    for asked, pause in enumerate((1, 2, 4, 8, 16, 30, 30), start=1):
        for _ in range(2):
            with pytest.raises(ProviderUnavailable):
                await jwks.find("a")
            assert provider.asked == asked
        clock.now += pause - 0.01
        with pytest.raises(ProviderUnavailable):
            await jwks.find("a")
        assert provider.asked == asked
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

    for moment, asked in ((0, 2), (29, 2), (2, 3)):
        clock.now += moment
        assert [key.kid for key in await jwks.find("a")] == ["a"]
        assert provider.asked == asked


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

    assert provider.asked == 1
    assert {type(one) for one in found} == {
        grants.Identity if status == 200 else grants.BackendUnavailable
    }


async def test_a_provider_that_trickles_holds_nobody_up(
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
    assert provider.asked == 6
    provider.redirects["/keys/6"] = f"{base}/5"
    with pytest.raises(ProviderUnavailable):
        await Jwks(f"{base}/6").find("a")


@pytest.mark.parametrize(
    ("old", "new", "is_one"),
    [
        ("https://a/b", "https://c/d", False),
        ("http://a/b", "https://a/b", False),
        ("http://a/b", "http://c/d", False),
        ("https://a/b", "http://a/b", True),
    ],
)
def test_a_redirect_may_not_give_up_encryption(
    old: str, new: str, is_one: bool
) -> None:
    assert is_downgrade(httpx.URL(old), httpx.URL(new)) is is_one


async def test_a_downgrade_is_refused_before_it_is_asked() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(302, headers={"location": "http://id.example/keys"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        with pytest.raises(BadAnswer, match="from https to http"):
            await fetch(client, "https://id.example/keys", 1.0)

    assert asked == ["https://id.example/keys"]


async def test_a_published_key_is_for_what_it_says(provider: Provider) -> None:
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
async def test_a_broken_key_spoils_no_other(
    provider: Provider, broken: dict[str, Any]
) -> None:
    provider.publish("RS256", "a")
    provider.keys[0] |= broken
    provider.publish("ES256", "b")

    good = token("ES256", None, "b", user_id="ada")
    assert await verifier.identify(good) == ADA
    with pytest.raises(grants.Unauthorized):
        await verifier.identify(token("RS256", None, "a", user_id="ada"))


async def test_a_key_without_an_id_is_for_every_token(provider: Provider) -> None:
    provider.publish("RS256", "a")
    provider.publish("ES256", None)

    for kid in (None, "b"):
        assert await verifier.identify(token("ES256", None, kid, user_id="ada")) == ADA
    with pytest.raises(grants.Unauthorized):
        await verifier.identify(token("RS256", None, "b", user_id="ada"))
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(grants.Unauthorized):
        await verifier.identify(token("ES256", other, "b", user_id="ada"))


async def test_a_provider_without_key_ids_is_not_asked_for_one(
    provider: Provider,
) -> None:
    provider.publish("ES256", None)

    for n in range(3):
        await asyncio.sleep(0.002)
        text = token("ES256", None, f"made up {n}", user_id="ada")
        assert await verifier.identify(text) == ADA

    assert provider.asked == 1


async def test_a_key_beside_one_without_an_id_is_asked_for(provider: Provider) -> None:
    provider.publish("ES256", None)
    provider.publish("RS512", "old")
    await verifier.identify(token("ES256", user_id="ada"))
    provider.publish("RS256", "new")
    await asyncio.sleep(0.002)

    text = token("RS256", None, "new", user_id="ada")
    assert await verifier.identify(text) == ADA


@pytest.mark.parametrize(
    ("more", "is_good"),
    [
        ({"key_ops": ["verify"]}, True),
        ({"key_ops": ["sign", "verify"], "use": "sig"}, True),
        ({"key_ops": None, "use": None, "alg": None, "kid": None}, True),
        ({"key_ops": []}, False),
        ({"key_ops": ["encrypt", "wrapKey"]}, False),
        ({"key_ops": "verify"}, False),
        ({"key_ops": ["verify"], "use": "enc"}, False),
        ({"alg": "ES384"}, False),
    ],
)
def test_a_key_says_what_it_is_for(more: dict[str, Any], is_good: bool) -> None:
    described = jwk("ES256") | more

    if is_good:
        assert from_jwk(described).algorithms == {"ES256"}
        return
    with pytest.raises(BadKey):
        from_jwk(described)


@pytest.mark.parametrize(
    "text", ["", "secret", pem(RSA).replace("A", "-"), "-----BEGIN PUBLIC KEY-----"]
)
def test_what_is_no_public_key_is_said(text: str) -> None:
    with pytest.raises(BadKey):
        from_pem(text)


@pytest.mark.parametrize(
    "described", [None, {}, {"kty": "RSA"}, {"kty": "oct", "k": "x"}]
)
def test_what_is_no_jwk_is_said(described: object) -> None:
    with pytest.raises(BadKey):
        from_jwk(described)
