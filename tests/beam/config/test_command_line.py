"""`manage.py` and other servers report errors of the configuration in one line."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from beam.config.command_line import refuse_wrong_file
from tests.beam.test_settings import SAFE, check, python
from tests.conftest import Serve
from tests.processes import RedisServer, free_port, migrated, redis_server

DEVELOPMENT = {"DEBUG": "1"}
NO_ONE = "postgres://ada:sesame@127.0.0.1:1/beam"
NOWHERE = "sqlite:////nowhere/beam.sqlite3"
PRODUCTION = ("SECRET_KEY", "ALLOWED_HOSTS", "BEAM_API_SECRET", "BEAM_TOKEN_SECRET")


def refused(env: dict[str, str], *command: str) -> str:
    """The line that `manage.py` prints before it exits with code 1."""
    done = check(env, *command)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert "sesame" not in done.stderr
    [line] = done.stderr.splitlines()
    return line


@pytest.fixture
def migrated_env(tmp_path: Path) -> dict[str, str]:
    """The environment of development, with a database that is migrated."""
    database = tmp_path / "beam.sqlite3"
    database.write_bytes(migrated())
    return DEVELOPMENT | {"DATABASE_URL": f"sqlite:///{database}"}


@pytest.mark.parametrize("command", ["migrate", "beam_serve"])
def test_a_wrong_value_is_named_by_every_command(command: str) -> None:
    line = refused(DEVELOPMENT | {"PORT": "abc"}, command)

    assert line == "PORT must be a whole number from 1 to 65535, not 'abc'."


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"DEBUG": "maybe"}, "DEBUG must be 1 or 0, not 'maybe'."),
        (
            {"BEAM_DRAIN_SECONDS": "abc"},
            "BEAM_DRAIN_SECONDS must be a number from 0 to 86,400, not 'abc'.",
        ),
        ({"BEAM_DRAIN_SECONDS": "-1"}, "variable BEAM_DRAIN_SECONDS sets it"),
        ({"REDIS_URL": "localhost:6379"}, "docs/operations.md shows all forms."),
        ({"BEAM_LOG_TEXT": "json"}, "BEAM_LOG_TEXT must be 1 or 0, not 'json'."),
    ],
)
def test_a_wrong_value_is_named_in_one_line(env: dict[str, str], expected: str) -> None:
    assert expected in refused(DEVELOPMENT | env, "check")


@pytest.mark.parametrize(
    "url",
    [
        "beam",
        "postgres://",
        "postgres://ada:sesame#1@db/beam",
        "postgres://ada:x@db:sesame/beam",
        "mongodb://ada:sesame@db/beam",
        "mysql://ada:sesame@db/beam",
    ],
)
def test_a_database_url_that_cannot_be_read_is_explained(url: str) -> None:
    line = refused(DEVELOPMENT | {"DATABASE_URL": url}, "check")

    assert "DATABASE_URL must be postgres://USER:PASSWORD@HOST:PORT/NAME" in line


def test_an_empty_database_url_means_the_default(tmp_path: Path) -> None:
    assert check(DEVELOPMENT | {"DATABASE_URL": " "}).returncode == 0


@pytest.mark.parametrize(
    "command",
    [
        ["beam_send", "lobby", "new_msg", "{}"],
        ["beam_token", "user", "ada"],
        ["beam_rooms"],
        ["beam_key", "list"],
        ["beam_serve", "--processes", "2"],
        ["changepassword", "admin"],
        ["createsuperuser"],
        ["migrate"],
        ["help", "beam_send"],
    ],
)
def test_missing_secrets_are_named_by_every_command(command: list[str]) -> None:
    line = refused({}, *command)

    assert all(name in line for name in PRODUCTION)
    assert "For development run: DEBUG=1 python manage.py" in line


@pytest.mark.parametrize("command", [[], ["help"]])
def test_the_list_of_commands_needs_no_settings(command: list[str]) -> None:
    done = python({"PORT": "abc"}, "manage.py", *command)

    assert done.returncode == 0
    assert "PORT must be a whole number" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("command", "url", "expected"),
    [
        (["migrate"], NO_ONE, "(postgresql beam at 127.0.0.1:1) cannot be used: "),
        (["changepassword", "ada"], NO_ONE, "cannot be used: "),
        (
            ["migrate"],
            f"{NO_ONE}?conn_max_age=60",
            'cannot be used: invalid connection option "conn_max_age".',
        ),
        (["beam_serve"], f"{NO_ONE}?pooled=1", 'connection option "pooled".'),
        (["beam_key", "list"], NOWHERE, f"(sqlite3 {NOWHERE[10:]}) cannot be used: "),
    ],
)
def test_a_database_that_cannot_be_used_is_named(
    command: list[str], url: str, expected: str
) -> None:
    line = refused(DEVELOPMENT | {"DATABASE_URL": url}, *command)

    assert expected in line
    assert "DATABASE_URL" in line


def test_runserver_is_refused() -> None:
    line = refused(DEVELOPMENT, "runserver", "5000")

    assert "run `python manage.py beam_serve`" in line


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    # A folder where the file should be: root, too, cannot write there.
    url = f"sqlite:///{tmp_path}"

    line = refused(DEVELOPMENT | {"DATABASE_URL": url}, "migrate")

    assert "Its folder must exist, and folder and file must be writable" in line


def test_a_server_does_not_start_with_a_file_that_cannot_be_created() -> None:
    env = DEVELOPMENT | {"DATABASE_URL": NOWHERE, "PORT": str(free_port())}

    line = refused(env, "beam_serve")

    assert "(sqlite3 /nowhere/beam.sqlite3) cannot be used: " in line
    assert "DATABASE_URL=sqlite:////PATH/beam.sqlite3 names another file" in line


@pytest.mark.parametrize("part", ["folder", "file"])
def test_a_file_that_this_user_may_not_write_is_refused(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "beam.sqlite3"
    file.touch()
    monkeypatch.setitem(settings.DATABASES["default"], "NAME", file)
    refuse_wrong_file()
    # Root may write everywhere.
    closed = {"folder": tmp_path, "file": file}[part]
    monkeypatch.setattr(os, "access", lambda path, _: path != closed)

    with pytest.raises(ImproperlyConfigured, match="folder and file must be writable"):
        refuse_wrong_file()


def test_missing_tables_are_explained(tmp_path: Path) -> None:
    env = DEVELOPMENT | {"DATABASE_URL": f"sqlite:///{tmp_path / 'new.sqlite3'}"}

    assert "run `python manage.py migrate`" in refused(env, "beam_key", "list")


def test_the_option_traceback_shows_the_traceback() -> None:
    done = check(DEVELOPMENT | {"PORT": "abc"}, "check", "--traceback")

    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--port", "abc"], "--port must be a whole number from 1 to 65535"),
        (["--port", "0"], "--port must be a whole number from 1 to 65535"),
        (["--processes", "0"], "--processes must be a whole number from 1 to 1024"),
        (["--host", "1.2.3.4"], "this machine has no such address. Set HOST"),
        (["--host", "nowhere.invalid"], "nowhere.invalid has no address. Correct HOST"),
    ],
)
def test_options_that_beam_serve_refuses_are_explained(
    arguments: list[str], expected: str, migrated_env: dict[str, str]
) -> None:
    env = migrated_env | {"PORT": str(free_port())}

    assert expected in refused(env, "beam_serve", *arguments)


@pytest.fixture
def taken() -> Iterator[str]:
    """A port that is in use."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield str(listening.getsockname()[1])


@pytest.mark.redis
@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_port_that_is_in_use_is_explained(
    taken: str,
    shared_redis: RedisServer,
    processes: str,
    migrated_env: dict[str, str],
) -> None:
    env = migrated_env | {"PORT": taken, "REDIS_URL": shared_redis.url}

    line = refused(env, "beam_serve", "--processes", processes)

    assert f"Cannot listen on http://127.0.0.1:{taken}: the port is in use." in line
    assert "set PORT (or --port) to another" in line


@pytest.mark.parametrize("processes", ["1", "2"])
def test_beam_serve_does_not_start_if_redis_is_unreachable(
    processes: str,
) -> None:
    env = DEVELOPMENT | {
        "REDIS_URL": "redis://ada:sesame@127.0.0.1:1/0",
        "BEAM_REDIS_START_TIMEOUT": "0.2",
    }

    line = refused(env, "beam_serve", "--processes", processes)

    assert "Redis at 127.0.0.1:1 cannot be reached: " in line
    assert "Start Redis, or correct REDIS_URL." in line


@pytest.mark.redis
def test_a_wrong_password_of_redis_is_named() -> None:
    with redis_server(arguments=("--requirepass", "open"), login=":open@") as store:
        url = store.url.replace("open", "sesame")
        line = refused(DEVELOPMENT | {"REDIS_URL": url}, "beam_serve")

    assert "refuses the user or password in REDIS_URL" in line


@pytest.mark.redis
def test_commands_work_in_another_shell(
    beam_server: Serve, shared_redis: RedisServer
) -> None:
    for url in ("", shared_redis.url):
        server = beam_server(REDIS_URL=url)
        env = server.env | {"PORT": str(server.port)}

        sent = check(env, "beam_send", "lobby", "new_msg", '{"a": "é"}')
        rooms = check(env, "beam_rooms")
        token = check(env, "beam_token", "user", "ada")
        made = check(
            env | {"DJANGO_SUPERUSER_PASSWORD": "correct-horse-battery"},
            *("createsuperuser", "--noinput", "--email", "ada@beam.test"),
            *("--username", f"ada{server.port}"),
        )

        assert (sent.returncode, sent.stderr) == (0, "Sent new_msg to lobby.\n")
        # Other tests may have left rooms in the Redis that they share.
        assert rooms.stdout.startswith("sessions\tusers\troom\n")
        assert rooms.stderr == ""
        assert token.stdout.count(".") == 2
        assert made.returncode == 0, made.stderr


def test_a_secret_that_is_not_the_servers_is_explained(beam_server: Serve) -> None:
    server = beam_server()
    env = server.env | {"PORT": str(server.port), "BEAM_API_SECRET": "sesame" * 4}

    for command in (["beam_send", "lobby", "new_msg", "{}"], ["beam_rooms"]):
        assert "BEAM_API_SECRET of this shell is not the server's" in refused(
            env, *command
        )


@pytest.mark.parametrize(
    ("server", "env", "expected"),
    [
        ("daphne", {}, "Set SECRET_KEY"),
        ("daphne", SAFE | {"BEAM_METRICS_ALLOW": "10.0.0.0/64"}, "(beam.E006)"),
        ("uvicorn", DEVELOPMENT | {"PORT": "abc"}, "PORT must be"),
    ],
)
def test_other_servers_report_errors_in_one_line_too(
    server: str, env: dict[str, str], expected: str
) -> None:
    done = python(env, "-m", server, "beam.asgi:application")

    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert expected in line


def test_other_servers_log_unknown_variables() -> None:
    env = DEVELOPMENT | {"BEAM_DRAIN_SECOND": "3"}

    done = python(env, "-c", "import beam.asgi")

    assert "Did you mean BEAM_DRAIN_SECONDS?" in done.stderr


def test_a_python_without_the_packages_is_explained() -> None:
    done = python({"PATH": ""}, "-S", "manage.py", "check")

    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert f"not installed for {sys.executable}: run `make install`" in line
