"""The OpenAPI document is complete, and the API behaves as it says."""

from __future__ import annotations

from typing import Any
from unittest import SkipTest

import httpx
import schemathesis
from django.core.management import call_command
from django.urls import get_resolver
from hypothesis import HealthCheck, assume, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    response_schema_conformance,
    status_code_conformance,
)

from rooms.api.error_codes import ErrorCode
from tests.conftest import Serve

SECRET = {"secret": "dev-secret"}


NOTHING = {"$ref": "#/components/schemas/Nothing"}
LONGEST_QUERY = 2_000
CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]


def _send(strategy: Any) -> int:
    """Send generated requests; 0 if the strategy has none."""

    # The same requests in each run, so that a failure can be repeated.
    @settings(
        max_examples=20,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def send(case: Any) -> None:
        # Twisted itself answers invalid HTTP: 400 without a body.
        assume(case.media_type != "multipart/form-data")
        assume(len(str(case.query)) < LONGEST_QUERY)
        case.call_and_validate(headers=SECRET, checks=CHECKS)

    try:
        send()
    except (Unsatisfiable, SkipTest):
        return 0
    return 1


def test_generated_requests_are_answered_as_described(beam_server: Serve) -> None:
    server = beam_server(BEAM_API_RATE="1e6", BEAM_API_BURST="1e6")
    schema = schemathesis.openapi.from_url(f"{server.url}/api/schema")
    sent = 0

    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        # Requests that the document allows, and others.
        for mode in GenerationMode:
            sent += _send(found.ok().as_strategy(generation_mode=mode))
    assert sent > 20


def test_the_openapi_document_is_valid_without_warnings() -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", "/dev/null")


def test_every_request_is_described(beam_server: Serve) -> None:
    server = beam_server()
    described = httpx.get(
        f"{server.url}/api/schema",
        headers={"accept": "application/vnd.oai.openapi+json"},
    ).json()

    routes = {str(route.pattern) for route in get_resolver("rooms.urls").url_patterns}
    ours = {route for route in routes if route.startswith("api/v1/")}
    assert len(ours) > 10
    assert len(described["paths"]) == len(ours)
    codes = described["components"]["schemas"]["ErrorCode"]["enum"]
    assert codes == list(ErrorCode)
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            assert {"401", "403", "429", "503"} <= operation["responses"].keys(), path
            assert operation["summary"], (path, method)
            assert operation["tags"], (path, method)
            for status, answer in operation["responses"].items():
                body = answer.get("content", {}).get("application/json")
                empty = body is None or body["schema"] == NOTHING
                assert empty or body["examples"], (path, method, status)
            taken = operation.get("requestBody", {"content": {}})["content"]
            if taken:
                assert taken["application/json"]["examples"], (path, method)


def test_an_unknown_path_of_the_server_is_a_404_in_json(beam_server: Serve) -> None:
    answer = httpx.get(f"{beam_server().url}/api/v1/nope", headers=SECRET)

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_the_page_loads_nothing_from_other_hosts(beam_server: Serve) -> None:
    server = beam_server()

    page = httpx.get(f"{server.url}/api/docs")

    assert page.status_code == 200
    assert "http://" not in page.text.replace(server.url, "")
    assert "https://" not in page.text
    for file in ("swagger-ui-bundle.js", "swagger-ui.css"):
        address = next(part for part in page.text.split('"') if part.endswith(file))
        assert httpx.get(server.url + address).status_code == 200
