"""Error codes: their text, their HTTP status."""

from __future__ import annotations

import json

import orjson
import pytest

from rooms.api.error_codes import ErrorCode, code_of


def test_a_code_is_written_as_its_text() -> None:
    code = ErrorCode.NOT_FOUND

    assert code == "not_found"
    assert json.dumps([code]) == '["not_found"]'
    assert orjson.dumps([code]) == b'["not_found"]'


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, ErrorCode.INVALID),
        (404, ErrorCode.NOT_FOUND),
        (503, ErrorCode.UNAVAILABLE),
        (418, None),
    ],
)
def test_a_status_has_a_code(status: int, code: ErrorCode | None) -> None:
    assert code_of(status) is code
