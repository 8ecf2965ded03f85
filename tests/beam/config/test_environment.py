"""Values of environment variables, and unknown variables."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django.fixtures import Settings

from beam.config import environment
from beam.config.checks import check_settings
from beam.config.environment import Unknown
from beam.config.variables import VARIABLES


@pytest.mark.parametrize(
    ("text", "is_on"), [("1", True), (" On ", True), ("", False), ("FALSE", False)]
)
def test_a_switch_is_on_or_off(text: str, is_on: bool) -> None:
    assert environment.switch({"DEBUG": text}, "DEBUG") is is_on
    assert not environment.switch({}, "DEBUG")


def test_an_invalid_switch_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="DEBUG must be 1 or 0, not 'maybe'"):
        environment.switch({"DEBUG": "maybe"}, "DEBUG")


@pytest.mark.parametrize("text", ["abc", "0", "-1", "65536", "80.5", "", "1" * 5_000])
def test_an_invalid_port_is_refused(text: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        environment.port(text, "PORT")

    assert "PORT must be a whole number from 1 to 65535, not " in str(refused.value)
    assert len(str(refused.value)) < 120


def test_a_valid_port_is_parsed() -> None:
    assert environment.port("5001", "PORT") == 5_001


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

    assert [*environment.unknown(given, VARIABLES)] == []
    assert [*environment.unknown({"BEAM_X": "1"}, ["BEAM_Y"])] == [
        Unknown("BEAM_X", "BEAM_Y")
    ]
