"""An entry as trackers keep it: its ref, and its JSON."""

from __future__ import annotations

import secrets
import time

import orjson

from presence.state import Meta, Snapshot, metas_of
from presence.tracker import NotTracked


def new_ref() -> str:
    """A `phx_ref`: 16 base64url characters, unique."""
    return secrets.token_urlsafe(12)


def body_of(key: str, meta: Meta) -> str:
    """An entry as it is kept and weighed; its time gives entries their order."""
    # Text: what orjson gives keeps its buffer of 4 KiB for as long as it lives.
    return orjson.dumps({"key": key, "meta": meta, "at": time.time_ns()}).decode()


def meta_of(state: Snapshot, ref: str) -> Meta:
    """The meta of an entry. Raises `NotTracked`."""
    for _, meta in metas_of(state.state):
        if meta["phx_ref"] == ref:
            return meta
    raise NotTracked(ref)
