"""Classifies Redis's error replies: which of them mean that it does not serve now.

A reply begins with its code. Redis 6.2 wraps what a script was refused in an `ERR`,
and scripts that lack a right get one without the code.
"""

from __future__ import annotations

import re
from typing import Final

from redis.exceptions import AuthenticationError, BusyLoadingError, ResponseError

NO_SCRIPT: Final = "NOSCRIPT"

ADVICE: Final = {
    "OOM": "Its memory is used up: raise maxmemory, or find out what fills it.",
    "READONLY": "It is a replica: connecting again until a master answers.",
    "MASTERDOWN": "It is a replica without a master: connecting again until a master "
    "answers.",
    "NOREPLICAS": "Too few replicas are connected: look at them, or lower "
    "min-replicas-to-write.",
    "MISCONF": "It cannot write its snapshot: look at its log and disk, or set "
    "stop-writes-on-bgsave-error to no.",
    "LOADING": "It is loading its data: waiting until it is done.",
    "BUSY": "A script runs too long: find out which; SCRIPT KILL ends it.",
    "NOPERM": "The user of REDIS_URL lacks rights: docs/operations.md lists them.",
    "NOAUTH": "REDIS_URL names no password, and Redis demands one.",
    "WRONGPASS": "The user or password in REDIS_URL is not accepted.",
    "CLUSTERDOWN": "It is part of a Redis Cluster, which Beam does not support.",
    "MOVED": "It is part of a Redis Cluster, which Beam does not support.",
    "ASK": "It is part of a Redis Cluster, which Beam does not support.",
    "TRYAGAIN": "It is part of a Redis Cluster, which Beam does not support.",
    "UNKILLABLE": "A script runs too long: find out which.",
}
"""Codes of replies that mean an outage, and what an operator should know or do."""

MOVED: Final = frozenset({"READONLY", "MASTERDOWN"})
"""Codes after which another server may be the master, behind the same address."""

_REPLIES = (ResponseError, AuthenticationError, BusyLoadingError)
_FIRST = re.compile(r"-?([A-Z]{2,20})\b")
_WRAPPED = re.compile(r"@user_script:.*?(?:: -?|\s-)([A-Z]{3,20}) ")
_NO_RIGHT = re.compile(r"The user executing the script can't|ACL failure in script")


def code(error: BaseException) -> str:
    """The code of an error reply; "" for an error that is no reply."""
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
    """Whether a reply means that Redis does not serve now; else it is a bug."""
    return code(error) in ADVICE


def advice(code: str) -> str:
    """What to do about a code."""
    return ADVICE.get(code, "It must run Lua scripts: docs/operations.md lists which.")
