"""Writes the log lines that clients cause: ends of connections, refusals, crashes.

No line contains a token, a secret or a payload. Many lines of one kind are summed up.
"""

from __future__ import annotations

import logging

from beam.telemetry.log_summary import Tally
from beam.telemetry.logs import printable

logger = logging.getLogger(__name__)

_ends = Tally(logger, "connections ended", most=20)
# Any client can be refused: on average one line per second at most.
_connects = Tally(logger, "connections refused", most=10, seconds=10.0)
_joins = Tally(logger, "joins refused", most=10, seconds=10.0)
_tokens = Tally(logger, "tokens refused", most=10, seconds=10.0)
_crashes = Tally(logger, "crashes", most=5, seconds=10.0, level=logging.ERROR)


def connection_ended(user: str, address: str, seconds: float, reason: str) -> None:
    """Log the end of a connection. `seconds`: how long it was open."""
    text, user = "Connection of %s ended after %.1f s: %s", printable(user)
    extra = {
        "user": user,
        "address": address,
        "seconds": round(seconds, 1),
        "reason": reason,
    }
    _ends.log(reason, text, user, seconds, reason, extra=extra)


def connect_refused(reason: str, why: str, address: str) -> None:
    """Log a refused connection. `reason`: as `connections_refused` counts it."""
    extra = {"reason": reason, "address": address}
    _connects.log(reason, "Refused to connect: %s", why, extra=extra)


def join_refused(topic: str, user: str, reason: str, why: str) -> None:
    """Log a join that was answered with an error. `why`: details of the reason."""
    _refused(_joins, "Refused %s to join %s: %s%s", topic, user, reason, why)


def token_refused(topic: str, user: str, reason: str, why: str) -> None:
    """Log a new room token of a member that was refused."""
    _refused(_tokens, "Refused %s a new token for %s: %s%s", topic, user, reason, why)


def _refused(
    tally: Tally, text: str, topic: str, user: str, reason: str, why: str
) -> None:
    user, topic = printable(user), printable(topic)
    extra = {"user": user, "topic": topic, "reason": reason}
    more = f", {why}" if why else ""
    tally.log(reason, text, user, topic, reason, more, extra=extra)


def crashed(what: str, error: BaseException) -> None:
    """Log a bug, with its traceback: code of a channel or of Beam raised."""
    kind = type(error).__name__
    _crashes.log(f"{what}: {kind}", "%s", what, exc_info=error)
