"""JSON text to values and back."""

from __future__ import annotations

import pytest

from rooms.protocol.json_text import NotJson, dumps, loads
from tests.rooms.protocol.test_invalid_frames import INVALID


@pytest.mark.parametrize("text", INVALID)
def test_a_value_that_is_not_json_is_explained(text: str) -> None:
    with pytest.raises(NotJson) as raised:
        loads(text.encode())

    assert "line 1 column" in str(raised.value)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_json_does_not_have_are_null_or_refused(bad: float) -> None:
    assert dumps(bad) == b"null"
    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps([bad, 2**70])
