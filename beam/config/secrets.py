"""Checks the secrets: what must not be one, and which are too short."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004

from beam.config.conf import Conf, networks

# What RFC 7518 asks of an HS256 key.
GOOD_TOKEN_SECRET: Final = 32
GOOD_API_SECRET: Final = 16
GOOD_SECRET_KEY: Final = 32
# How a key of a pair looks that somebody took for a secret.
PEM: Final = "-----BEGIN"
SSH: Final = ("ssh-", "ecdsa-sha2-")


def size_of(secret: str) -> int:
    """How many bytes a secret has."""
    # The environment may hold what is no UTF-8: that must not raise, as the
    # traceback would show it.
    return len(secret.encode(errors="replace"))


def check_kinds(current: Conf) -> Iterator[CheckMessage]:
    if any(PEM in each or each.startswith(SSH) for each in current.token_secrets):
        yield Error(
            "BEAM_TOKEN_SECRET holds a key of a pair, where a shared secret belongs.",
            hint="Public keys are for BEAM_TOKEN_PUBLIC_KEY.",
            id="beam.E012",
        )


def check_strength(current: Conf) -> Iterator[CheckMessage]:
    if any(size_of(secret) < GOOD_TOKEN_SECRET for secret in current.token_secrets):
        yield Warning(
            f"BEAM_TOKEN_SECRET has an item of less than {GOOD_TOKEN_SECRET} bytes.",
            hint="Whoever holds a token can try out short ones.",
            id="beam.W001",
        )
    if any(len(secret) < GOOD_API_SECRET for secret in current.api_secrets):
        yield Warning(
            f"BEAM_API_SECRET has an item of less than {GOOD_API_SECRET} characters.",
            hint="It may do everything: a random one costs nothing.",
            id="beam.W002",
        )
    if len(settings.SECRET_KEY) < GOOD_SECRET_KEY:
        yield Warning(
            f"SECRET_KEY has less than {GOOD_SECRET_KEY} characters.",
            hint="It signs the sessions of admins.",
            id="beam.W003",
        )
    with suppress(ValueError):
        if any(each.prefixlen == 0 for each in networks(current.metrics_allow)):
            yield Warning(
                "BEAM_METRICS_ALLOW lets every address read /metrics.",
                hint="Name networks of your own: 10.0.0.0/8",
                id="beam.W004",
            )
