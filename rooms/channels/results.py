"""What a handler of a channel returns or raises in order to answer its client."""

from __future__ import annotations

import math
from typing import Any, Final

NULL: Final = object()
"""What a join returns to be answered with null, as None is `{}`."""


class Refused(Exception):
    """A request is answered with an error; the channel stays joined."""

    def __init__(
        self, reason: str, message: str = "", wait: float = 0.0, why: str = ""
    ) -> None:
        """`wait`: seconds after which it may be tried again; 0: not known.

        `why`: a text for the log, if it says more than `message`.
        """
        super().__init__(reason)
        self.reason, self.why = str(reason), why or message
        self.response: dict[str, Any] = {"reason": str(reason)}
        if message:
            self.response["message"] = message
        if wait:
            self.response["retry_after_ms"] = math.ceil(wait * 1_000)
