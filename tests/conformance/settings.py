"""Beam's settings with the fixture of `vectors.json`."""

import os
from typing import Any

os.environ.setdefault("DEBUG", "1")

from beam import settings
from beam.settings import *  # noqa: F403

# As in production: Phoenix sends only the reason.
DEBUG = False
ALLOWED_HOSTS = ["*"]

BEAM: dict[str, Any] = settings.BEAM | {  # type: ignore[no-redef]
    "api_secrets": ("abcd",),
    "allowed_origins": ("//example.com", "//*.wild.test"),
    "verifier": "tests.conformance.fixture.FixtureVerifier",
    "channels": {
        "test:*": "tests.conformance.fixture.FixtureChannel",
        "plain": "tests.conformance.fixture.PlainChannel",
    },
    # Phoenix sends each change separately.
    "presence_window": 0.0,
    # Phoenix's own: the fixture is Phoenix, the rooms' limits are Beam's.
    "max_frame_bytes": 10_000_000,
    "max_message_bytes": 10_000_000,
    "max_message_depth": 1_000,
    # Phoenix closes the socket for half an emoji; Beam refuses the message.
    "strict_json": 1,
    # The vectors fail often, and expect replies at once.
    "failures_before_delay": 0,
}
