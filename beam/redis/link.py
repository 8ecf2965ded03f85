"""Owns the state of Redis, as one event loop sees it: available or not."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from beam.loops import per_loop
from beam.redis import refusals
from beam.redis.exceptions import described

logger = logging.getLogger(__name__)

QUIET_SECONDS = 60.0
REFUSED = "refuses commands"


class Link:
    """Whether Redis is available to one event loop. Logs one line per change.

    `up`: Redis is available. `why`: if not, the reason in a few words. `moved`: the
    server is no master any more, so the address may lead to another one.
    `generation`: how often all connections were closed on purpose.
    """

    def __init__(self) -> None:
        self.up = True
        self.why = ""
        self.moved = False
        self.generation = 0
        self._down_listeners: list[Callable[[], None]] = []
        self._logged: set[str] = set()
        self._quiet_until: dict[str, float] = {}

    def add_down_listener(self, listener: Callable[[], None]) -> None:
        """Call a function whenever an outage begins. Adding it twice is no error."""
        if listener not in self._down_listeners:
            self._down_listeners.append(listener)

    def failed(
        self,
        error: BaseException,
        *,
        probed: bool = False,
        generation: int | None = None,
    ) -> None:
        """A call got no answer, or was refused.

        Each kind of failure is logged once in an outage. `probed`: the call was a
        probe. `generation`: that of the link when the call began. If connections
        were closed on purpose since then, a missing answer means nothing.
        """
        code = refusals.code(error)
        if not code and generation not in (None, self.generation):
            return
        kind = code or "no answer"
        if self.up or code or probed:
            self.why = f"{REFUSED}: {code}" if code else type(error).__name__
        self.moved = self.moved or code in refusals.MOVED
        if kind not in self._logged and (self.up or code):
            self._logged.add(kind)
            self._log(error, code)
        if self.up:
            self.up = False
            for listener in self._down_listeners:
                listener()

    @staticmethod
    def _log(error: BaseException, code: str) -> None:
        if code:
            logger.error("Redis %s: %s. %s", REFUSED, code, refusals.advice(code))
        else:
            logger.error("Redis is unavailable: %s", described(error))

    def replied(self, error: Exception) -> None:
        """Redis answered a command with an error: an outage, or a bug.

        Of a bug only the code is logged: the text may quote the command.
        """
        if refusals.is_outage(error):
            self.failed(error)
            return
        code, now = refusals.code(error), time.monotonic()
        if code != refusals.NO_SCRIPT and now >= self._quiet_until.get(code, 0.0):
            self._quiet_until[code] = now + QUIET_SECONDS
            logger.error("Redis answered a command with an error: %s", code)

    def answered(self) -> None:
        """Redis is available: a probe succeeded."""
        if not self.up:
            refused = self.why.startswith(REFUSED)
            self.up, self.why, self.moved = True, "", False
            self._logged.clear()
            text = (
                "Redis accepts writes again" if refused else "Redis is available again"
            )
            logger.info(text)


@per_loop
def link() -> Link:
    """The running loop's link."""
    return Link()
