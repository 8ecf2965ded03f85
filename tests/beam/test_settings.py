"""Django settings: production refuses unsafe values, development has defaults."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from tests.processes import ROOT, free_port

SAFE = {
    "DEBUG": "0",
    "SECRET_KEY": "k" * 50,
    "ALLOWED_HOSTS": "beam.test",
    "BEAM_API_SECRET": "s" * 32,
    "BEAM_TOKEN_SECRET": "t" * 32,
}


def check(env: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    """`manage.py check` with only these variables of Beam in the environment.

    `command`: another command of `manage.py`, and its arguments.
    """
    return python(env, "manage.py", *(command or ("check",)))


def python(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python with only these variables of Beam in the environment."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=kept | env,
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_production_starts_if_everything_is_set() -> None:
    done = check(SAFE)

    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def test_production_refuses_a_short_token_secret() -> None:
    done = check(SAFE | {"BEAM_TOKEN_SECRET": "t" * 32 + ",sesame89abcdefg"})

    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "Set BEAM_TOKEN_SECRET to a random string of 32 bytes or more" in last
    assert "sesame" not in done.stderr


@pytest.mark.parametrize("name", ["SECRET_KEY", "BEAM_API_SECRET"])
def test_production_refuses_other_short_secrets(name: str) -> None:
    done = check(SAFE | {name: "sesame7"})

    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert f"Set {name} to a random string of 32 bytes or more" in last
    assert f"minimum lengths: {name} 8." in last
    assert "sesame" not in done.stderr
    assert check(SAFE | {name: "sesame78"}).returncode == 0


def test_all_short_secrets_are_named_at_once() -> None:
    short = {
        "SECRET_KEY": "x",
        "BEAM_API_SECRET": "s" * 32 + ",a",
        "BEAM_TOKEN_SECRET": "t",
    }
    last = check(SAFE | short).stderr.strip().splitlines()[-1]

    assert "Set SECRET_KEY, BEAM_API_SECRET, BEAM_TOKEN_SECRET to a random" in last


def test_production_warns_about_secrets_that_should_be_longer() -> None:
    done = check(
        SAFE
        | {
            "BEAM_TOKEN_SECRET": "sesame" * 3,
            "BEAM_API_SECRET": "sesame" * 2,
            "SECRET_KEY": "sesame" * 5,
        }
    )

    assert done.returncode == 0
    for code in ("W001", "W002", "W003"):
        assert f"(beam.{code})" in done.stderr
    assert "sesame" not in done.stderr


def test_a_public_key_is_refused_as_token_secret() -> None:
    pem = "-----BEGIN PUBLIC KEY-----\nsesame\n-----END PUBLIC KEY-----"
    done = check(SAFE | {"BEAM_TOKEN_SECRET": pem})

    assert done.returncode == 1
    assert "BEAM_TOKEN_PUBLIC_KEY" in done.stderr
    assert "sesame" not in done.stderr


def test_other_servers_do_not_start_with_wrong_settings_either() -> None:
    wrong = SAFE | {"BEAM_METRICS_ALLOW": "10.0.0.0/64"}
    done = python(wrong, "-c", "import beam.asgi")

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "(beam.E006)" in done.stderr
    assert python(SAFE, "-c", "import beam.asgi").returncode == 0


def test_the_server_does_not_start_with_absurd_settings() -> None:
    port = str(free_port())
    done = check(SAFE | {"BEAM_TOKEN_LEEWAY": "nan"}, "beam_serve", "--port", port)

    assert done.returncode == 1
    assert "BEAM['token_leeway'] must be a number from 0 to 86,400" in done.stderr


def test_development_starts_without_any_variable() -> None:
    assert check({"DEBUG": "1"}).returncode == 0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY"),
        ({"ALLOWED_HOSTS": ""}, "ALLOWED_HOSTS"),
        ({"BEAM_API_SECRET": ""}, "BEAM_API_SECRET"),
        ({"BEAM_API_SECRET": "dev-secret"}, "BEAM_API_SECRET"),
        ({"BEAM_TOKEN_SECRET": ""}, "BEAM_TOKEN_SECRET"),
        ({"BEAM_TOKEN_SECRET": " , "}, "BEAM_TOKEN_SECRET"),
        (
            {
                "BEAM_TOKEN_SECRET": "t,"
                "beam-development-token-secret-never-for-production"
            },
            "BEAM_TOKEN_SECRET",
        ),
    ],
)
def test_production_refuses_missing_and_development_secrets(
    changes: dict[str, str], named: str
) -> None:
    done = check(SAFE | changes)

    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert f"Set {named}" in last
    assert "t,beam" not in done.stderr


def test_all_missing_variables_are_named_at_once() -> None:
    last = check({}).stderr.strip().splitlines()[-1]

    for name in ("SECRET_KEY", "BEAM_API_SECRET", "ALLOWED_HOSTS", "BEAM_TOKEN_SECRET"):
        assert name in last


def test_a_backend_that_decodes_tokens_needs_no_token_secret() -> None:
    env = SAFE | {"BEAM_TOKEN_SECRET": "", "BEAM_BACKEND_URL": "http://127.0.0.1:1"}

    assert check(env).returncode == 0


def test_a_variable_sets_a_number_and_an_invalid_one_is_explained() -> None:
    assert check(SAFE | {"BEAM_DRAIN_SECONDS": "2.5"}).returncode == 0

    wrong = check(SAFE | {"BEAM_DRAIN_BATCH": "many"})

    assert wrong.returncode == 1
    assert (
        "BEAM_DRAIN_BATCH must be a whole number from 1 to 1,000,000,000, not 'many'"
        in wrong.stderr
    )


def database(url: str) -> dict[str, Any]:
    """The settings for a `DATABASE_URL`."""
    show = (
        "import json; from beam import settings; print(json.dumps(settings.DATABASES))"
    )
    done = python(SAFE | {"DATABASE_URL": url}, "-c", show)
    found: dict[str, Any] = json.loads(done.stdout)["default"]
    return found


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgis"])
def test_postgresql_has_time_limits(scheme: str) -> None:
    options = database(f"{scheme}://beam@db.test/beam")["OPTIONS"]

    # The option of the backend of Beam, which applies it without the server.
    own = options.pop("answer_seconds", None)
    assert own == (None if scheme == "postgis" else 15)
    assert options.pop("options") == "-c statement_timeout=10000"
    assert options["connect_timeout"] == 5
    assert options["tcp_user_timeout"] == 10_000
    assert options["keepalives"] == 1
    # libpq refuses unknown options.
    make_conninfo("", **options)


@pytest.mark.parametrize("scheme", ["postgres", "sqlite"])
def test_a_connection_is_closed_after_each_use(scheme: str) -> None:
    # Each request has its own thread: a kept connection would not be used again.
    assert database(f"{scheme}://beam@db.test/beam")["CONN_MAX_AGE"] == 0


def test_a_limit_of_queries_in_the_url_replaces_both_defaults() -> None:
    url = "postgres://beam@db.test/beam?options=-c%20statement_timeout%3D0"

    found = database(url)

    assert found["ENGINE"] == "beam.postgresql"
    assert "answer_seconds" not in found["OPTIONS"]


def test_cookies_have_their_own_names() -> None:
    names = (
        "SESSION_COOKIE_NAME SESSION_COOKIE_SECURE SESSION_COOKIE_SAMESITE "
        "CSRF_COOKIE_NAME CSRF_COOKIE_SECURE CSRF_COOKIE_SAMESITE MESSAGE_STORAGE"
    )
    show = (
        "from beam import settings as s; "
        f"print(*(getattr(s, name) for name in {names.split()!r}))"
    )

    done = python(SAFE, "-c", show)

    assert done.stdout.split() == [
        *("beam_sessionid", "True", "Lax"),
        *("beam_csrftoken", "True", "Lax"),
        # Messages are in the session, not in a cookie.
        "django.contrib.messages.storage.session.SessionStorage",
    ]


@pytest.mark.parametrize(
    ("query", "name", "found"),
    [
        ("connect_timeout=60", "connect_timeout", 60),
        (
            "options=-c%20statement_timeout%3D0",
            "options",
            "-c statement_timeout=0",
        ),
        (
            "currentSchema=beam",
            "options",
            "-c search_path=beam -c statement_timeout=10000",
        ),
        ("sslmode=require", "sslmode", "require"),
    ],
)
def test_the_url_of_postgresql_overrides_options(
    query: str, name: str, found: object
) -> None:
    options = database(f"postgres://beam@db.test/beam?{query}")["OPTIONS"]

    assert options[name] == found
    assert options["keepalives_idle"] == 5


def test_sqlite_gets_no_option_that_it_does_not_know() -> None:
    assert "OPTIONS" not in database("sqlite:///beam.sqlite3")
