"""The settings of Beam."""

from __future__ import annotations

from pytest_django.fixtures import Settings

from beam.config.conf import conf


def test_a_setting_can_be_overridden(settings: Settings) -> None:
    settings.BEAM = settings.BEAM | {"max_channels": 7}

    assert conf().max_channels == 7


def test_the_representation_of_the_settings_hides_secrets() -> None:
    shown = repr(conf())

    assert conf().api_secrets[0] not in shown
    assert conf().token_secrets[0] not in shown
