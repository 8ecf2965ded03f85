"""Beam's settings as the tests run them: development, no Redis."""

import os

os.environ["DEBUG"] = "1"
os.environ.pop("REDIS_URL", None)

from beam.settings import *  # noqa: F403

# Passwords of tests are no secrets; a safe hash takes half a second.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
