"""Public keys: PEM and JWK."""

from __future__ import annotations

from typing import Any

import pytest

from beam.config.public_keys import BadKey, from_jwk, from_pem
from tests.rooms.auth.keys import RSA, jwk, pem


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
def test_the_use_of_a_jwk_is_respected(more: dict[str, Any], is_good: bool) -> None:
    described = jwk("ES256") | more

    if is_good:
        assert from_jwk(described).algorithms == {"ES256"}
        return
    with pytest.raises(BadKey):
        from_jwk(described)


@pytest.mark.parametrize(
    "text", ["", "secret", pem(RSA).replace("A", "-"), "-----BEGIN PUBLIC KEY-----"]
)
def test_an_invalid_public_key_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(BadKey):
        from_pem(text)


@pytest.mark.parametrize(
    "described", [None, {}, {"kty": "RSA"}, {"kty": "oct", "k": "x"}]
)
def test_an_invalid_jwk_is_refused_with_a_reason(described: object) -> None:
    with pytest.raises(BadKey):
        from_jwk(described)
