"""Reads what can be read of a message that is not a valid frame. Pure."""

from __future__ import annotations

import json
import math
import re
from typing import Final

from rooms.protocol.frame import BadFrame, Frame, Json, Vsn
from rooms.protocol.json_text import first_wins

V1_KEYS: Final = ("topic", "event", "payload", "ref")


def envelope(data: str | bytes, vsn: Vsn) -> Frame:
    """What can be read of a bad frame: all but its payload, which is empty.

    For the error reply to a message that cannot be used. Accepts more than JSON:
    lone surrogates, NaN, a byte order mark. Raises `BadFrame` if it is unreadable.
    """
    text = data if isinstance(data, str) else data.decode(errors="replace")
    text = text.removeprefix("\ufeff")
    try:
        value = _LENIENT.decode(text)
    except RecursionError:
        value = _outline(text, vsn)
    except ValueError:
        raise BadFrame("not JSON") from None
    if vsn is Vsn.V2:
        # There must be a payload, of any kind.
        parts = value[:4] if type(value) is list and len(value) > 4 else ()
    else:
        is_whole = type(value) is dict and all(key in value for key in V1_KEYS)
        parts = [value.get(key) for key in _V1_ENVELOPE] if is_whole else ()
    if not parts or any(type(part) in (list, dict) for part in parts):
        raise BadFrame("the frame cannot be read")
    return Frame._make([*map(_finite, parts), {}])


_V1_ENVELOPE: Final = ("join_ref", "ref", "topic", "event")
# What Python refuses to read as an integer, and no double holds, is infinity.
_LONGEST_INTEGER: Final = 4_000


def _integer(digits: str) -> float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else math.inf


_LENIENT: Final = json.JSONDecoder(
    strict=False, parse_int=_integer, object_pairs_hook=first_wins
)


def _finite(part: Json) -> Json:
    """A part of an envelope as it is written in the reply: infinity is null."""
    return None if type(part) is float and not math.isfinite(part) else part


# Possessive, so that no input takes more than linear time.
_STRING: Final = r'"(?:[^"\\]|\\.)*+"'
_SCALAR: Final = rf"(?:{_STRING}|[-+.\w]++)"
_PAIR: Final = rf"\s*+{_STRING}\s*+:\s*+{_SCALAR}\s*+"
_V2_HEAD: Final = re.compile(rf"\s*+\[((?:\s*+{_SCALAR}\s*+,){{3}}\s*+{_SCALAR}\s*+),")
_V1_HEAD: Final = re.compile(rf"\s*+\{{((?:{_PAIR},)*+)\s*+{_STRING}\s*+:\s*+[\[{{]")
_V1_TAIL: Final = re.compile(rf"[\]}}]\s*+((?:,{_PAIR})*+)\}}\s*+\Z")


def _outline(text: str, vsn: Vsn) -> Json:
    """A frame that nests too deeply to be parsed, with null as its payload.

    The scalars before the payload and, with V1, behind it.
    """
    try:
        if vsn is Vsn.V2:
            head = _V2_HEAD.match(text)
            return head and _LENIENT.decode(f"[{head[1]},null]")
        head, tail = _V1_HEAD.match(text), _V1_TAIL.search(text)
        pairs = f'{head[1]}"payload":null{tail[1]}' if head and tail else ""
        return _LENIENT.decode(f"{{{pairs}}}")
    except ValueError:
        return None
