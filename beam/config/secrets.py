"""Checks secrets: their length, and that none is a public or private key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004

from beam.config.conf import Conf, networks

# RFC 7518, section 3.2: an HS256 key has at least 256 bits.
GOOD_TOKEN_SECRET: Final = 32
GOOD_API_SECRET: Final = 16
GOOD_SECRET_KEY: Final = 32
# Keys of a pair begin like this: they are no shared secrets.
PEM: Final = "-----BEGIN"
SSH: Final = ("ssh-", "ecdsa-sha2-")


def size_of(secret: str) -> int:
    """The length of a secret in bytes."""
    # The environment may have invalid UTF-8. An exception would show the secret.
    return len(secret.encode(errors="replace"))


def check_kinds(current: Conf) -> Iterator[CheckMessage]:
    if any(PEM in each or each.startswith(SSH) for each in current.token_secrets):
        yield Error(
            "BEAM_TOKEN_SECRET has a public or private key, not a shared secret.",
            hint="Set public keys in BEAM_TOKEN_PUBLIC_KEY.",
            id="beam.E012",
        )


def check_strength(current: Conf) -> Iterator[CheckMessage]:
    if any(size_of(secret) < GOOD_TOKEN_SECRET for secret in current.token_secrets):
        yield Warning(
            f"BEAM_TOKEN_SECRET has an item with less than {GOOD_TOKEN_SECRET} bytes.",
            hint="A short secret can be guessed from one token.",
            id="beam.W001",
        )
    if any(len(secret) < GOOD_API_SECRET for secret in current.api_secrets):
        yield Warning(
            f"BEAM_API_SECRET has an item with less than {GOOD_API_SECRET} characters.",
            hint="It gives all rights. `openssl rand -hex 32` prints a good one.",
            id="beam.W002",
        )
    if len(settings.SECRET_KEY) < GOOD_SECRET_KEY:
        yield Warning(
            f"SECRET_KEY has less than {GOOD_SECRET_KEY} characters.",
            hint="It signs sessions of admins.",
            id="beam.W003",
        )
    with suppress(ValueError):
        if any(each.prefixlen == 0 for each in networks(current.metrics_allow)):
            yield Warning(
                "BEAM_METRICS_ALLOW allows every address to read /metrics.",
                hint="Set your own networks, such as 10.0.0.0/8.",
                id="beam.W004",
            )
