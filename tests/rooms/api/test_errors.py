"""The answer to each error, and its one-line message."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError
from rest_framework import exceptions

from rooms.api.error_codes import ErrorCode
from rooms.api.errors import (
    MAX_SUMMARY,
    HistoryOff,
    KeyReused,
    TooLarge,
    UnsupportedBody,
    answer_error,
    summary,
)
from rooms.messaging import publisher


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"room_id": ["is missing"]}, "room_id: is missing"),
        ({"a": ["Not good.", "second"], "b": ["bad"]}, "a: Not good; b: bad"),
        ({name: ["x"] for name in "abcde"}, "a: x; b: x; c: x"),
        ({"": ["an item is an object"]}, "an item is an object"),
        ({"a": {"0": ["nested"]}}, "a: {'0': ['nested']}"),
        (["not a dict"], "['not a dict']"),
        ({"a": []}, "a: []"),
    ],
)
def test_the_first_reasons_are_in_the_message(fields: Any, line: str) -> None:
    assert summary(fields) == line


def test_the_length_of_a_message_is_limited() -> None:
    assert len(summary({"a" * 1_000: ["b" * 1_000]})) == MAX_SUMMARY


ANSWERS: list[tuple[Exception, int, str]] = [
    (exceptions.ParseError("not JSON"), 400, "malformed"),
    (exceptions.ValidationError({"a": ["is missing"]}), 400, "invalid"),
    (exceptions.NotAuthenticated(), 401, "unauthorized"),
    (exceptions.PermissionDenied(), 403, "forbidden"),
    (exceptions.NotFound(), 404, "not_found"),
    (HistoryOff(), 404, "history_off"),
    (exceptions.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
    (exceptions.NotAcceptable(), 406, "not_acceptable"),
    (TooLarge("large"), 413, "too_large"),
    (RequestDataTooBig(), 413, "too_large"),
    (UnsupportedBody("gzip"), 415, "unsupported_media_type"),
    (KeyReused(), 422, "idempotency_key_reused"),
    (exceptions.Throttled(2), 429, "rate_limited"),
    (RuntimeError("a bug"), 500, "failed"),
    (publisher.NotPublished(), 503, "unavailable"),
    (DatabaseError(), 503, "unavailable"),
]


@pytest.mark.parametrize(("error", "status", "code"), ANSWERS)
def test_each_error_has_a_code_and_its_status(
    error: Exception, status: int, code: str
) -> None:
    answer = answer_error(error, {})

    assert answer.status_code == status
    assert answer.data["error"]["code"] == code
    assert answer.data["error"]["message"]


def test_every_code_is_the_answer_to_an_error() -> None:
    assert {code for _, _, code in ANSWERS} == set(ErrorCode)
