"""What both trackers do with one entry: make its ref and its JSON, find its meta."""

from __future__ import annotations

import secrets
import time

import orjson

from presence.state import Meta, Snapshot, metas_of
from presence.tracker import NotTracked


def new_ref() -> str:
    """A unique `phx_ref`: 16 base64url characters."""
    return secrets.token_urlsafe(12)


def body_of(key: str, meta: Meta) -> str:
    """The JSON of an entry: what is stored, and what counts as its size.

    `at`, the time in nanoseconds, orders the metas of a key.
    """
    # A str: the bytes that orjson returns hold its 4 KiB buffer while they live.
    return orjson.dumps({"key": key, "meta": meta, "at": time.time_ns()}).decode()


def meta_of(state: Snapshot, ref: str) -> Meta:
    """The meta with this ref in a state. Raises `NotTracked` if it is not there."""
    for _, meta in metas_of(state.state):
        if meta["phx_ref"] == ref:
            return meta
    raise NotTracked(ref)
