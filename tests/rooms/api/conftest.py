"""What tests of the API may ask for."""

from __future__ import annotations

import pytest

from rooms.messaging.hub import Hub


@pytest.fixture
def own(backend: str, running_hub: Hub) -> None:
    """The back end that the test names, and then the hub."""
