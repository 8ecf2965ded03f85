"""Fixtures of the tests of tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django.fixtures import Settings


@pytest.fixture
def configure(settings: Settings) -> Callable[..., None]:
    """Set settings of `BEAM`."""

    def configure(**given: Any) -> None:
        settings.BEAM = settings.BEAM | given

    return configure
