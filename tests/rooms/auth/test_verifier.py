"""User and room tokens signed by Beam or a backend: grants, and refusals."""

from __future__ import annotations

import base64
import time
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings as django_settings
from pytest_django.fixtures import Settings

from rooms.auth import grants, jwt_claims, jwt_tokens, verifier

ADA = grants.Identity("ada")
SECRET = django_settings.TOKEN_SECRETS[0]


# Seconds. Tokens in lists of parameters are made when the tests are collected, and must
# not expire, or begin to be valid, before the last test of a long run.
A_DAY = 86_400


def token(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """A token with these claims that expires tomorrow, unless `exp` is given."""
    return jwt.encode({"exp": time.time() + A_DAY, **claims}, secret, algorithm)


def forged(header: object) -> str:
    """A token with any header."""
    parts: list[Any] = [header, {"user_id": "ada", "exp": time.time() + A_DAY}, {}]
    encoded = (base64.urlsafe_b64encode(orjson.dumps(part)) for part in parts)
    return b".".join(part.rstrip(b"=") for part in encoded).decode()


async def test_a_user_token_names_the_user() -> None:
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
    # The parameters contain times; test ids must not.
    ids=lambda _: "bad",
)
async def test_an_invalid_user_token_is_refused(bad: object) -> None:
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
async def test_claims_that_beam_does_not_use_may_have_any_value(
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
async def test_the_reason_names_what_is_wrong(
    claims: dict[str, Any], reason: str
) -> None:
    with pytest.raises(grants.Unauthorized, match=reason):
        await verifier.identify(token(**({"user_id": "ada"} | claims)))


async def test_the_reason_explains_an_empty_array_of_php() -> None:
    with pytest.raises(grants.Unauthorized, match=r"stdClass"):
        await verifier.authorize(token(room_id="r", meta=[]), "r", ADA)
    with pytest.raises(grants.Unauthorized, match="must be a list, not text"):
        await verifier.authorize(token(room_id="r", can="push"), "r", ADA)


@pytest.mark.parametrize("exp", [jwt_claims.LAST_DATE, 4_102_444_800.5])
async def test_a_date_up_to_the_year_9999_is_valid(exp: float) -> None:
    assert await verifier.identify(token(user_id="ada", exp=exp)) == ADA
    assert (
        await verifier.authorize(token(room_id="r", exp=exp), "r", ADA)
    ).expires == exp


async def test_the_reason_names_the_setting() -> None:
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


async def test_a_room_token_names_a_room_and_its_rights() -> None:
    text = jwt_tokens.mint_room("r", 60, user_id="ada", can=["push"], meta={"x": 1})

    grant = await verifier.authorize(text, "r", ADA)

    assert grant.expires is not None
    assert 0 < grant.expires - time.time() <= 60
    assert grant == grants.RoomGrant(
        "r", "ada", frozenset({"push"}), {"x": 1}, grant.expires
    )


async def test_a_room_token_grants_all_rights_by_default() -> None:
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
async def test_an_invalid_room_token_is_refused(bad: object) -> None:
    with pytest.raises(grants.Unauthorized):
        await verifier.authorize(bad, "r", ADA)
