"""Weak secrets are warnings in production."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django.fixtures import Settings

from beam.config.checks import check_settings


@pytest.fixture(autouse=True)
def development(settings: Settings) -> None:
    """pytest-django turns DEBUG off; with it on, secrets may be short."""
    settings.DEBUG = True


def ids(settings: Settings, **given: Any) -> list[str | None]:
    """The ids of the problems of these settings."""
    settings.BEAM = settings.BEAM | given
    return [problem.id for problem in check_settings()]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"token_secrets": ("t" * 32, "short" * 6)}, "beam.W001"),
        ({"api_secrets": ("a" * 16, "fifteen letters")}, "beam.W002"),
        ({"metrics_allow": "10.0.0.0/8, 0.0.0.0/0"}, "beam.W004"),
        ({"metrics_allow": "::/0"}, "beam.W004"),
    ],
)
def test_weak_settings_are_warnings_in_production(
    settings: Settings, given: dict[str, Any], code: str
) -> None:
    good = {
        "token_secrets": ("é" * 16,),
        "api_secrets": ("a" * 16,),
        "metrics_allow": "0.0.0.0/1",
    }
    assert ids(settings, **(good | given)) == []

    settings.DEBUG = False
    assert ids(settings, **good) == []
    assert ids(settings, **(good | given)) == [code]


def test_a_short_secret_key_is_a_warning_in_production(settings: Settings) -> None:
    good = {"token_secrets": ("t" * 32,), "api_secrets": ("a" * 16,)}
    settings.SECRET_KEY = "k" * 31
    assert ids(settings, **good) == []

    settings.DEBUG = False
    assert ids(settings, **good) == ["beam.W003"]

    settings.SECRET_KEY = "k" * 32
    assert ids(settings, **good) == []
