"""Classifies error replies of Redis: which of them mean that it is unavailable.

A reply begins with its code. Inside a script, Redis 6.2 puts the code into the text of
an `ERR`; if the script lacks a permission, the code is missing.
"""

from __future__ import annotations

import re
from typing import Final

from redis.exceptions import AuthenticationError, BusyLoadingError, ResponseError

NO_SCRIPT: Final = "NOSCRIPT"

ADVICE: Final = {
    "OOM": "Its memory is full: raise maxmemory, or find out what uses it.",
    "READONLY": "It is a replica: reconnecting until a master answers.",
    "MASTERDOWN": "It is a replica without a master: reconnecting until a master "
    "answers.",
    "NOREPLICAS": "Too few replicas are connected: check them, or lower "
    "min-replicas-to-write.",
    "MISCONF": "It cannot write its snapshot: check its log and disk, or set "
    "stop-writes-on-bgsave-error to no.",
    "LOADING": "It is loading its data: waiting until that is done.",
    "BUSY": "A script runs too long: find out which one; SCRIPT KILL ends it.",
    "NOPERM": "The user in REDIS_URL lacks permissions: docs/operations.md lists them.",
    "NOAUTH": "Redis requires a password, and REDIS_URL has none.",
    "WRONGPASS": "The user or password in REDIS_URL is not accepted.",
    "CLUSTERDOWN": "It is part of a Redis Cluster, which Beam does not support.",
    "MOVED": "It is part of a Redis Cluster, which Beam does not support.",
    "ASK": "It is part of a Redis Cluster, which Beam does not support.",
    "TRYAGAIN": "It is part of a Redis Cluster, which Beam does not support.",
    "UNKILLABLE": "A script runs too long: find out which one.",
}
"""Codes that mean an outage, and what an operator should know or do."""

MOVED: Final = frozenset({"READONLY", "MASTERDOWN"})
"""Codes after which another server may be the master at the same address."""

_REPLIES = (ResponseError, AuthenticationError, BusyLoadingError)
_FIRST = re.compile(r"-?([A-Z]{2,20})\b")
_WRAPPED = re.compile(r"@user_script:.*?(?:: -?|\s-)([A-Z]{3,20}) ")
_NO_RIGHT = re.compile(r"The user executing the script can't|ACL failure in script")


def code(error: BaseException) -> str:
    """The code of an error reply; "" for any other error."""
    if not isinstance(error, _REPLIES):
        return ""
    text = str(error)
    first = _FIRST.match(text)
    found = error.status_code or (first[1] if first else "ERR")
    if found != "ERR":
        return found
    if isinstance(error, AuthenticationError):
        return "WRONGPASS"
    if _NO_RIGHT.search(text):
        return "NOPERM"
    wrapped = _WRAPPED.search(text)
    return wrapped[1] if wrapped else found


def is_outage(error: BaseException) -> bool:
    """Whether an error reply means that Redis is unavailable; if not, it is a bug."""
    return code(error) in ADVICE


def advice(code: str) -> str:
    """What an operator should do about a code."""
    return ADVICE.get(
        code, "It must accept the commands that docs/operations.md lists."
    )
