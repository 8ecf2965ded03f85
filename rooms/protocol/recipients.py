"""Recipients of a direct message: `to` lists as labels of members. Pure."""

from __future__ import annotations

from typing import Any


def labels(entries: object, most: int) -> tuple[str, ...]:
    """The labels that a list of recipients names, each once.

    An entry is `{"session"}`, `{"userId"}` or `{"user_id"}`; its session wins
    over its user. Raises `ValueError` if it is not a list, if an entry is invalid,
    or if they name more than `most` recipients.
    """
    if type(entries) is not list:
        raise ValueError('must be a list of {"session"} or {"user_id"}')
    named = tuple(dict.fromkeys(map(_label, entries)))
    if len(named) > most:
        raise ValueError(f"must name at most {most} recipients, not {len(named)}")
    return named


def _label(entry: Any) -> str:
    if type(entry) is dict:
        for name, kind in (
            ("session", "session"),
            ("userId", "user"),
            ("user_id", "user"),
        ):
            if name in entry:
                taken = (str, int) if kind == "user" else (str,)
                if type(entry[name]) in taken:
                    return f"{kind}:{entry[name]}"
                break
    raise ValueError("an entry must have session, userId or user_id")
