"""Errors inside the server are logged and counted; daphne would discard them."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from twisted.internet.defer import Deferred
from twisted.logger import Logger, LogLevel, globalLogPublisher
from twisted.python.failure import Failure

from beam.server import twisted_log
from beam.telemetry import metrics
from tests.beam.telemetry.test_logs import PRODUCTION, lines
from tests.conftest import Serve

SECRET = {"secret": PRODUCTION["BEAM_API_SECRET"]}


def test_a_protocol_that_raises_is_logged_and_counted(beam_server: Serve) -> None:
    server = beam_server("broken", **PRODUCTION)

    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{server.url}/?user_token=sesame", headers={"x-fail": "sesame"})
    metrics = httpx.get(f"{server.url}/metrics", headers=SECRET).text
    server.stop()

    [logged] = [line for line in lines(server) if line["level"] == "ERROR"]
    assert logged["logger"] == "beam.server.twisted_log"
    assert logged["message"] == "An error inside the server: KeyError"
    assert "in fail" in logged["traceback"]
    assert logged["traceback"].endswith("\nKeyError")
    assert 'beam_server_errors_total{process="1"} 1.0' in metrics
    assert "sesame" not in server.text()


@pytest.fixture
def observed() -> Iterator[None]:
    """Twisted's log is observed in this process; installed twice."""
    twisted_log.install()
    twisted_log.install()
    yield
    publisher: Any = globalLogPublisher
    publisher.removeObserver(twisted_log.log_failure)


def fail() -> None:
    """Raise in a callback, where no code handles it."""
    waiting: Deferred[None] = Deferred()
    waiting.addCallback(lambda _: 1 / 0)
    waiting.callback(None)


@pytest.mark.usefixtures("observed")
def test_a_failure_that_is_not_handled_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = metrics.SERVER_ERRORS.value

    fail()
    gc.collect()

    assert caplog.messages == ["An error inside the server: ZeroDivisionError"]
    assert "in <lambda>" in (caplog.records[0].exc_text or "")
    assert metrics.SERVER_ERRORS.value == before + 1


@pytest.mark.usefixtures("observed")
def test_events_that_are_not_failures_are_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = metrics.SERVER_ERRORS.value
    caplog.set_level(logging.DEBUG, "beam")
    twisted = Logger()

    twisted.info("a connection")
    twisted.error("hm")
    twisted.failure("gone", Failure(OSError("gone")), LogLevel.warn)  # type: ignore[no-untyped-call]

    assert caplog.messages == []
    assert metrics.SERVER_ERRORS.value == before
