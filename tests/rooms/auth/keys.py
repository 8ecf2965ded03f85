"""Keys of an identity provider, and tokens that it signs."""

from __future__ import annotations

import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

RSA = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)

KEYS: dict[str, Any] = {
    "RS256": RSA,
    "RS512": RSA,
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def pem(key: Any) -> str:
    """The public key of a private key, as PEM."""
    public = key.public_key()
    text: bytes = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return text.decode()


def jwk(algorithm: str) -> dict[str, Any]:
    """The public key for an algorithm, as in a JWKS."""
    kind = get_default_algorithms()[algorithm]
    described: dict[str, Any] = kind.to_jwk(KEYS[algorithm].public_key(), as_dict=True)
    return described


def token(
    algorithm: str, key: Any = None, kid: str | None = None, **claims: Any
) -> str:
    """A token that the provider has signed, valid for a minute."""
    return jwt.encode(
        {"exp": time.time() + 60, **claims},
        key or KEYS[algorithm],
        algorithm,
        headers={"kid": kid} if kid else None,
    )
