"""Owns which public key may verify which algorithm: PEM and JWK in, keys out. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

RSA: Final = frozenset({"RS256", "RS384", "RS512"})
CURVES: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
ALGORITHMS: Final = RSA | {*CURVES.values(), "EdDSA"}
"""What an identity provider may sign with."""

_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)


class BadKey(ValueError):
    """What is given is no public key that can verify a token."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key, and the algorithms that it may verify. `kid`: its name, if it has one."""

    key: Any
    algorithms: frozenset[str]
    kid: str | None = None


def from_pem(text: str) -> tuple[PublicKey, ...]:
    """Every key of a text; `\\n` may stand for the end of a line. Raises `BadKey`."""
    found = _PEM.findall(text.replace("\\n", "\n"))
    if not found:
        raise BadKey("no PEM public key: -----BEGIN PUBLIC KEY-----")
    try:
        keys = [load_pem_public_key(pem.encode()) for pem in found]
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey(f"not readable: {error}") from None
    return tuple(PublicKey(key, _algorithms(key)) for key in keys)


def from_jwk(described: object) -> PublicKey:
    """A key of a JWKS. Raises `BadKey` for one that is not for signatures."""
    if not isinstance(described, dict) or described.get("use", "sig") != "sig":
        raise BadKey("not for signatures")
    try:
        jwk = jwt.PyJWK(described)
    except jwt.PyJWTError as error:
        raise BadKey(str(error)) from None
    algorithms = _algorithms(jwk.key)
    if (named := described.get("alg")) is not None:
        algorithms &= {named}
    if not algorithms:
        raise BadKey("for no algorithm that is accepted")
    return PublicKey(jwk.key, algorithms, jwk.key_id)


def _algorithms(key: object) -> frozenset[str]:
    """By the kind of a key. A shared or a private one is for none."""
    if isinstance(key, RSAPublicKey):
        return RSA
    if isinstance(key, EllipticCurvePublicKey) and key.curve.name in CURVES:
        return frozenset({CURVES[key.curve.name]})
    if isinstance(key, Ed25519PublicKey | Ed448PublicKey):
        return frozenset({"EdDSA"})
    raise BadKey(f"{type(key).__name__} verifies no token")
