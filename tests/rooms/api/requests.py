"""Every request of the API with a valid body, and the form of an error."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

SECRET = {"secret": "dev-secret"}

EVENT = {"room_id": "r", "event": "changed"}

# Method, path, a valid body, the scope that a key needs.
REQUESTS: list[tuple[str, str, Any, str | None]] = [
    ("POST", "/api/v1/push_room_event", EVENT, "events:write"),
    ("POST", "/api/v1/events", {"events": [EVENT]}, "events:write"),
    ("GET", "/api/v1/health", None, None),
    ("GET", "/api/v1/processes", None, "rooms:read"),
    ("GET", "/api/v1/rooms", None, "rooms:read"),
    ("GET", "/api/v1/rooms/r", None, "rooms:read"),
    ("GET", "/api/v1/rooms/r/presence", None, "rooms:read"),
    ("GET", "/api/v1/rooms/r/history", None, "rooms:read"),
    ("POST", "/api/v1/rooms/r/remove", {"user_id": "ada"}, "rooms:manage"),
    ("POST", "/api/v1/rooms/r/close", {}, "rooms:manage"),
    ("POST", "/api/v1/rooms/r/open", {}, "rooms:manage"),
    ("POST", "/api/v1/users/ada/disconnect", {}, "rooms:manage"),
    ("GET", "/metrics", None, "metrics:read"),
]


# Paths that need no secret.
OPEN = ["/healthz", "/readyz", "/api/schema", "/api/docs"]


def each(requests: list[tuple[str, str, Any, str | None]]) -> pytest.MarkDecorator:
    """Run the test for each of these requests."""
    names = [f"{method} {path}" for method, path, _, _ in requests]
    fields = ("method", "path", "body", "scope")
    return pytest.mark.parametrize(fields, requests, ids=names)


every = each(REQUESTS)

every_post = each([r for r in REQUESTS if r[0] == "POST"])

with_body = each([r for r in REQUESTS if r[2]])

with_id = each([r for r in REQUESTS if "/rooms/r" in r[1] or "/users/" in r[1]])


def code_of(answer: httpx.Response, status: int) -> str:
    """The code of an error; checks the form of the error."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    error = answer.json()["error"]
    assert error["message"]
    assert set(error) <= {"code", "message", "fields"}
    if "fields" in error:
        for texts in error["fields"].values():
            assert texts
            assert all(type(text) is str for text in texts)
    return str(error["code"])
