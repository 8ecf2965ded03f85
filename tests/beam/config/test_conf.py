"""Beam's own settings."""

from __future__ import annotations

from pytest_django.fixtures import Settings

from beam.config.conf import conf


def test_the_settings_in_force_follow_overrides(settings: Settings) -> None:
    settings.BEAM = settings.BEAM | {"max_channels": 7}

    assert conf().max_channels == 7


def test_secrets_are_not_shown() -> None:
    shown = repr(conf())

    assert conf().api_secrets[0] not in shown
    assert conf().token_secrets[0] not in shown
