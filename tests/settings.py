"""Beam's settings as the tests run them: development, no Redis."""

import os

os.environ["DEBUG"] = "1"
os.environ.pop("REDIS_URL", None)

from beam.settings import *  # noqa: F403
