"""Environment variables are read."""

from __future__ import annotations

import re

import pytest
from django.core.exceptions import ImproperlyConfigured

from beam.config import environment
from tests.processes import ROOT


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


def test_a_variable_sets_a_number_and_an_empty_one_nothing() -> None:
    given = {"BEAM_DRAIN_SECONDS": "2.5", "BEAM_MAX_CHANNELS": ""}

    assert environment.from_environment(given) == {"drain_seconds": 2.5}


def test_every_variable_that_the_settings_read_is_known() -> None:
    source = (ROOT / "beam" / "settings.py").read_text()

    assert {*re.findall(r'"(BEAM_[A-Z_]+)"', source)} <= environment.VARIABLES
