"""Settings from environment variables."""

from __future__ import annotations

import re

from beam.config.variables import VARIABLES, from_environment
from tests.processes import ROOT


def test_a_variable_sets_a_number_and_an_empty_one_nothing() -> None:
    given = {"BEAM_DRAIN_SECONDS": "2.5", "BEAM_MAX_CHANNELS": ""}

    assert from_environment(given) == {"drain_seconds": 2.5}


def test_every_variable_that_the_settings_read_is_known() -> None:
    source = (ROOT / "beam" / "settings.py").read_text()

    assert {*re.findall(r'"(BEAM_[A-Z_]+)"', source)} <= VARIABLES
