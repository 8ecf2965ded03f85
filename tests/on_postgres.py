"""`python -m tests.on_postgres [ARGUMENTS]`: pytest's database tests on PostgreSQL.

Otherwise they run on SQLite. The arguments are pytest's.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.postgres import postgres

# Django's test clients keep the connection of each request's thread until it ends.
OPTIONS = ("-m", "django_db", "--reuse-db", "-W", "ignore::ResourceWarning")


def main() -> int:
    """The exit code of pytest."""
    command = [sys.executable, "-m", "pytest", *OPTIONS, *sys.argv[1:]]
    with postgres() as server:
        env = os.environ | {"DATABASE_URL": server.url()}
        return subprocess.run(command, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
