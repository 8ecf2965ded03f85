"""Beam's settings for tests: development, without Redis."""

import os

os.environ["DEBUG"] = "1"
os.environ.pop("REDIS_URL", None)

from beam.settings import *  # noqa: F403

# A safe hash takes half a second, and passwords of tests are not secret.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
