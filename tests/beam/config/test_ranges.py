"""The ranges of numbers in the settings."""

from __future__ import annotations

from dataclasses import fields

from beam.config.conf import Conf
from beam.config.ranges import RANGES


def test_every_number_has_one_range() -> None:
    ranged = [name for names in RANGES.values() for name in names]
    numbers = [f.name for f in fields(Conf) if isinstance(f.default, int | float)]

    assert sorted(ranged) == sorted(numbers)
