"""Lines of Django: they contain only the method and the path of a request."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from typing import Any

import httpx
import pytest
from django.contrib.auth.views import LoginView
from django.db import OperationalError
from pytest_django.fixtures import Settings

from beam.asgi import application
from beam.server import page_handler
from beam.telemetry import logs, metrics
from beam.telemetry.logs import (
    DjangoFilter,
    JsonFormatter,
    RequestFilter,
)
from tests.processes import ROOT

Written = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    """`written()` returns the output that production would have written so far."""
    handler = logging.StreamHandler(StringIO())
    handler.setFormatter(JsonFormatter())
    handler.addFilter(RequestFilter())
    handler.addFilter(DjangoFilter())
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    return lambda: [*map(json.loads, handler.stream.getvalue().splitlines())]


async def ask(method: str = "GET", path: str = "/admin/login/", **how: Any) -> int:
    """The status of a page, requested with a secret in every place."""
    headers = {
        "cookie": "sessions=sesame",
        "authorization": "Bearer sesame",
        "referer": "https://other.example/a?user_token=sesame",
    }
    transport = httpx.ASGITransport(app=application)
    async with httpx.AsyncClient(
        transport=transport, base_url=how.pop("base", "https://beam")
    ) as http:
        answer = await http.request(
            method, f"{path}?user_token=sesame&sesame", headers=headers, **how
        )
    return answer.status_code


EVIL = "https://evil.example"


async def test_only_method_and_path_of_a_refused_request_are_logged(
    settings: Settings, written: Written
) -> None:
    settings.ALLOWED_HOSTS = ["beam"]
    before = metrics.PAGES_REFUSED.value

    assert await ask(path="/socket/longpoll", base=EVIL) == 400
    assert await ask("POST", data={"password": "sesame"}) == 403

    host, csrf = written()
    assert metrics.PAGES_REFUSED.value == before + 2
    assert host["logger"] == "django.security.DisallowedHost"
    assert host["message"].startswith("Invalid HTTP_HOST header: 'evil.example'.")
    assert host["request"] == "GET /socket/longpoll"
    assert "traceback" not in host
    assert csrf["logger"] == "django.security.csrf"
    assert csrf["message"] == (
        "Forbidden (Referer checking failed - https://other.example/a): /admin/login/"
    )
    assert csrf["request"] == "POST /admin/login/"
    known = {"time", "level", "logger", "message", "request", "request_id"}
    assert host.keys() == csrf.keys() == known | {"status_code"}
    assert "sesame" not in json.dumps([host, csrf])


async def test_an_unavailable_page_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, written: Written
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError

    monkeypatch.setattr(page_handler, "_flood", logs.Flood())
    monkeypatch.setattr(LoginView, "get", fail)

    assert [await ask() for _ in range(20)] == [503] * 20

    [line] = written()
    assert line["logger"] == "beam.server.page_handler"


@pytest.mark.parametrize(
    "path", ["..%2f..%2fmanage.py", "admin%2f..%2f..%2f..%2fx", "%2fetc%2fpasswd"]
)
async def test_a_path_outside_the_static_files_is_a_404(
    written: Written, path: str
) -> None:
    assert await ask(path=f"/static/{path}") == 404
    assert written() == []


def test_a_line_of_django_is_written_once_in_development() -> None:
    script = (
        "import django, logging; django.setup(); "
        "logging.getLogger('django.request').error('once')"
    )
    env = os.environ | {"DEBUG": "1", "DJANGO_SETTINGS_MODULE": "beam.settings"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stderr.count("once") == 1


async def test_another_refusal_is_logged_with_its_kind(
    settings: Settings, written: Written
) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 1

    assert await ask() == 400

    [line] = written()
    assert line["message"] == "TooManyFieldsSent: GET /admin/login/"
    assert line["request_id"]
    assert "sesame" not in json.dumps(line)


def test_a_refusal_without_a_request_is_logged_the_same_way(written: Written) -> None:
    refusals = logging.getLogger("django.security.SuspiciousSession")

    for _ in range(3):
        refusals.warning("a session of sesame")

    [line] = written()
    assert line["message"] == "SuspiciousSession"


def test_other_lines_are_not_changed(written: Written) -> None:
    for _ in range(2):
        logging.getLogger("django.db").error("Is %s there?", "it", extra={"a": 1})

    first, second = written()
    assert first["message"] == second["message"] == "Is it there?"
    assert first["a"] == 1


async def test_a_failed_page_is_logged_without_its_request(
    monkeypatch: pytest.MonkeyPatch, written: Written
) -> None:
    def fail(self: Any, request: Any) -> None:
        try:
            raise KeyError(request.META["QUERY_STRING"])
        except KeyError as error:
            raise ValueError(request.COOKIES, request.headers) from error

    monkeypatch.setattr(LoginView, "get", fail)
    before = metrics.PAGES_FAILED.value

    assert await ask() == 500

    [line] = written()
    assert metrics.PAGES_FAILED.value == before + 1
    assert line["message"] == "Internal Server Error: /admin/login/"
    assert line["request"] == "GET /admin/login/"
    cause, error = line["traceback"].split("and then:")
    assert "in fail" in cause
    assert cause.rstrip().endswith("\nKeyError")
    assert error.endswith("\nValueError")
    assert "sesame" not in json.dumps(line)


async def test_refusals_do_not_flood_the_log(
    settings: Settings, written: Written, clock: Callable[[float], None]
) -> None:
    settings.ALLOWED_HOSTS = ["beam"]

    for _ in range(4):
        await ask(base=EVIL)
    await ask("POST")
    clock(logs.QUIET_SECONDS + 1)
    for _ in range(2):
        await ask(base=EVIL)

    first, other, last = (line["message"] for line in written())
    assert first.endswith("to ALLOWED_HOSTS.")
    assert other.startswith("Forbidden")
    assert last.endswith("to ALLOWED_HOSTS. (and 3 more before it)")


async def test_lines_that_any_client_can_cause_are_short(
    settings: Settings, written: Written
) -> None:
    settings.ALLOWED_HOSTS = ["beam"]

    await ask(base="https://" + "a" * 5_000)
    await ask("POST", "/admin/login/" + "a" * 5_000)

    host, csrf = written()
    assert len(json.dumps(host)) < 1_000
    assert len(json.dumps(csrf)) < 1_000
