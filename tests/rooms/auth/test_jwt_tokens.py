"""Tokens of an identity provider, verified by its public key."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings as django_settings

from rooms.auth import grants, jwt_tokens, verifier
from tests.rooms.auth.keys import KEYS, RSA, pem, token

ADA = grants.Identity("ada")

SECRET = django_settings.TOKEN_SECRETS[0]


def confused(public: str) -> str:
    """A token that is signed with the public key as a shared secret."""

    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    claims = {"user_id": "ada", "exp": int(time.time()) + 60}
    head = json.dumps({"alg": "HS256", "typ": "JWT"}).encode()
    text = part(head) + b"." + part(json.dumps(claims).encode())
    return (text + b"." + part(hmac.digest(public.encode(), text, "sha256"))).decode()


@pytest.mark.parametrize("algorithm", list(KEYS))
async def test_every_supported_algorithm_is_verified(
    configure: Callable[..., None], algorithm: str
) -> None:
    configure(token_public_key=pem(KEYS[algorithm]).replace("\n", "\\n"))

    assert await verifier.identify(token(algorithm, user_id="ada")) == ADA
    grant = await verifier.authorize(token(algorithm, room_id="r"), "r", ADA)
    assert grant.room_id == "r"


async def test_own_tokens_stay_valid_with_a_public_key(
    configure: Callable[..., None],
) -> None:
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
    # The parameters contain times; test ids must not.
    ids=lambda _: "bad",
)
async def test_tokens_that_the_provider_did_not_sign_are_refused(
    configure: Callable[..., None], bad: str
) -> None:
    configure(token_public_key=pem(RSA))

    with pytest.raises(grants.Unauthorized):
        await verifier.identify(bad)


async def test_without_a_public_key_such_tokens_are_refused() -> None:
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


async def test_the_reason_names_a_missing_key(configure: Callable[..., None]) -> None:
    with pytest.raises(grants.Unauthorized, match="BEAM_TOKEN_PUBLIC_KEY"):
        await verifier.identify(token("RS256", user_id="ada"))
    configure(token_public_key=pem(RSA), token_issuer="https://id.example")
    with pytest.raises(grants.Unauthorized, match="no public key"):
        await verifier.identify(token("ES256", user_id="ada"))
    with pytest.raises(grants.Unauthorized, match="token_issuer"):
        await verifier.identify(token("RS256", user_id="ada", iss="https://other"))
    with pytest.raises(grants.Unauthorized, match="no `iss`"):
        await verifier.identify(token("RS256", user_id="ada"))
