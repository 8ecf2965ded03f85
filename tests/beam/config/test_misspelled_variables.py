"""Environment variables without effect are warnings."""

from __future__ import annotations

import pytest
from pytest_django.fixtures import Settings

from beam.config.checks import check_settings
from beam.config.environment import VARIABLES
from beam.config.misspelled_variables import Unknown, unknown


@pytest.fixture(autouse=True)
def development(settings: Settings) -> None:
    """With DEBUG, secrets may be short."""
    settings.DEBUG = True


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("BEAM_DRAIN_SECOND", "Did you mean BEAM_DRAIN_SECONDS?"),
        ("BEAM_API_SECRETS", "Did you mean BEAM_API_SECRET?"),
        ("BEAM_TOKEN_SECRETS", "Did you mean BEAM_TOKEN_SECRET?"),
        ("BEAM_JWKS_URL", "Did you mean BEAM_TOKEN_JWKS_URL?"),
        ("BEAM_REDIS_URL", "Did you mean REDIS_URL?"),
        ("BEAM_PORT", "Did you mean PORT?"),
        ("BEAM_SECRET_KEY", "Did you mean SECRET_KEY?"),
        ("BEAM_CHANNELS", "Only Django settings set it: settings.BEAM['channels']."),
        ("BEAM_ROOM_POLICIES", "settings.BEAM['room_policies']"),
        ("BEAM_XYZZY", "docs/settings.md lists every variable."),
    ],
)
def test_a_variable_without_effect_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, name: str, hint: str
) -> None:
    monkeypatch.setenv(name, "sesame")

    [warning] = check_settings()

    assert warning.id == "beam.W005"
    assert f"{name} has no effect" in warning.msg
    assert hint in str(warning.hint)
    assert "sesame" not in str(warning)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BEAM_SERVICE_HOST", "10.0.0.1"),
        ("BEAM_WEB_SERVICE_PORT_HTTP", "80"),
        ("BEAM_PORT", "tcp://10.0.0.1:80"),
        ("BEAM_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("BEAM_REDIS_PORT", "tcp://10.0.0.1:6379"),
    ],
)
def test_variables_that_kubernetes_sets_are_no_warnings(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    assert check_settings() == []


def test_known_variables_are_no_warnings() -> None:
    given = dict.fromkeys(VARIABLES, "1") | {"PORT": "5000", "BEAMING": "1"}

    assert [*unknown(given, VARIABLES)] == []
    assert [*unknown({"BEAM_X": "1"}, ["BEAM_Y"])] == [Unknown("BEAM_X", "BEAM_Y")]
