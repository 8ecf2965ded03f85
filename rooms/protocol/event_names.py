"""Event names that clients and backends may not send. Pure."""

from __future__ import annotations

import re
from typing import Final

RESERVED: Final = frozenset(
    {
        "presence_state",
        "presence_diff",
        "presence_update",
        "access_token",
        "token_expired",
    }
)


PREFIXES: Final = ("phx_", "chan_reply", "beam_")
RESERVED_RULE: Final = (
    f"names that begin with {', '.join(PREFIXES[:-1])} or {PREFIXES[-1]}, in lower or "
    f"upper case, and {', '.join(sorted(RESERVED))} are reserved"
)
# Some clients ignore case, and one cuts a name at its first comma.
_RESERVED: Final = re.compile(
    rf"\s*(?:{'|'.join(PREFIXES)}|(?:{'|'.join(RESERVED)})(?![\w.:/-]))",
    re.IGNORECASE,
)


def is_reserved(event: str) -> bool:
    """Whether neither clients nor backends may send this event name.

    Phoenix's own names, presence, `beam_` for Beam's own events, and
    `chan_reply_<ref>`, as which clients dispatch replies to themselves.
    """
    return _RESERVED.match(event) is not None


_PHOENIX: Final = tuple(prefix for prefix in PREFIXES if prefix != "beam_")


def is_phoenix_event(event: str) -> bool:
    """Whether clients take an event of this name for a reply, a close or an error.

    No channel may push such an event: it would end the channel, or answer a message.
    """
    return event.lower().startswith(_PHOENIX)
