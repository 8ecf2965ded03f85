"""Reads public keys (PEM, JWK), and decides which algorithms each may verify."""

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
"""The algorithms that are accepted."""

_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)

# PyJWT and cryptography raise these for invalid keys.
_UNREADABLE: Final = (
    jwt.PyJWTError,
    UnsupportedAlgorithm,
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    OverflowError,
    NotImplementedError,
)


class BadKey(ValueError):
    """Not a public key that can verify a token."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key, and the algorithms that it may verify. `kid`: its id, if it has one."""

    key: Any
    algorithms: frozenset[str]
    kid: str | None = None


def from_pem(text: str) -> tuple[PublicKey, ...]:
    """Read all PEM keys of a text, with line ends or `\\n`. Raises `BadKey`."""
    found = _PEM.findall(text.replace("\\n", "\n"))
    if not found:
        raise BadKey("it must be a PEM public key: -----BEGIN PUBLIC KEY-----")
    try:
        keys = [load_pem_public_key(pem.encode()) for pem in found]
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey(f"it cannot be read: {error}") from None
    return tuple(PublicKey(key, _algorithms(key)) for key in keys)


def from_jwk(described: object) -> PublicKey:
    """Read a key of a JWKS. Raises `BadKey` if it cannot verify tokens."""
    if not isinstance(described, dict) or not _is_to_verify(described):
        raise BadKey("it is not for signatures")
    kid, named = _text(described, "kid"), _text(described, "alg")
    try:
        key = jwt.PyJWK(described).key
    except _UNREADABLE as error:
        raise BadKey(f"it cannot be read: {type(error).__name__}") from None
    algorithms = _algorithms(key)
    if named is not None:
        algorithms &= {named}
    if not algorithms:
        raise BadKey("its algorithm is not accepted")
    return PublicKey(key, algorithms, kid)


def _is_to_verify(described: dict[str, Any]) -> bool:
    """Whether `use` and `key_ops` allow it. A key may have both, one or neither."""
    use, operations = described.get("use"), described.get("key_ops")
    if use is not None and use != "sig":
        return False
    if operations is None:
        return True
    return isinstance(operations, list) and "verify" in operations


def _text(described: dict[str, Any], name: str) -> str | None:
    found = described.get(name)
    if found is not None and not isinstance(found, str):
        raise BadKey(f"its {name} is not a string")
    return found


def _algorithms(key: object) -> frozenset[str]:
    """The algorithms of a public key. Raises `BadKey` for other kinds of keys."""
    if isinstance(key, RSAPublicKey):
        return RSA
    if isinstance(key, EllipticCurvePublicKey) and key.curve.name in CURVES:
        return frozenset({CURVES[key.curve.name]})
    if isinstance(key, Ed25519PublicKey | Ed448PublicKey):
        return frozenset({"EdDSA"})
    raise BadKey(f"{type(key).__name__} cannot verify tokens")
