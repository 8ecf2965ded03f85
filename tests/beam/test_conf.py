"""Beam's own settings and their checks."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django.fixtures import Settings

from beam.conf import check_settings, conf


def test_the_settings_in_force_follow_overrides(settings: Settings) -> None:
    settings.BEAM = settings.BEAM | {"max_channels": 7}

    assert conf().max_channels == 7


def test_the_defaults_are_sound() -> None:
    assert check_settings() == []


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"max_chanels": 5}, "beam.E001"),
        ({"max_channels": 0}, "beam.E002"),
        ({"idle_timeout": -1}, "beam.E002"),
        ({"max_message_depth": 5_000}, "beam.E003"),
        ({"max_message_bytes": 2_000_000}, "beam.E003"),
        ({"redis_url": "localhost:6379"}, "beam.E004"),
        ({"token_public_key": "secret"}, "beam.E005"),
    ],
)
def test_what_cannot_be_is_an_error(
    settings: Settings, given: dict[str, Any], code: str
) -> None:
    settings.BEAM = settings.BEAM | given

    assert [problem.id for problem in check_settings()] == [code]


def test_secrets_are_not_shown() -> None:
    shown = repr(conf())

    assert conf().api_secrets[0] not in shown
    assert conf().token_secrets[0] not in shown
