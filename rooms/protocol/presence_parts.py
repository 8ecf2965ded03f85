"""Splits presence states and diffs that are too large for one frame. Pure.

The parts are what an unmodified phoenix.js merges: the first of a state is a
`presence_state`, all others are `presence_diff` events.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from presence.state import Diff, Meta, State, metas_of, state_of
from rooms.protocol.event import Event, presence_diff
from rooms.protocol.json_text import RawJson, dumps

T = TypeVar("T")


def state_parts(state: State, most: int) -> list[RawJson]:
    """A state as JSON texts of at most `most` bytes each, in order; at least one.

    A single meta that is larger is a part by itself.
    """
    return [*_texts(state, most)]


def _texts(state: State, most: int) -> Iterator[RawJson]:
    text = RawJson(dumps(state))
    if len(text) <= most:
        yield text
        return
    pieces = math.ceil(len(text) / most)
    # A list of keys is split much faster than one of metas.
    parts = _by_keys(state, pieces) if len(state) > 1 else _by_metas(state, pieces)
    for part in parts:
        if len(parts) > 1:
            yield from _texts(part, most)
        else:
            yield text


def _by_keys(state: State, pieces: int) -> list[State]:
    """The state in so many pieces or some more, none of them empty."""
    items = [*state.items()]
    step = math.ceil(len(items) / pieces)
    return [dict(items[at : at + step]) for at in range(0, len(items), step)]


def _by_metas(state: State, pieces: int) -> list[State]:
    pairs = [*metas_of(state)]
    step = math.ceil(len(pairs) / pieces)
    return [state_of(pairs[at : at + step]) for at in range(0, len(pairs), step)]


def joins_of(part: RawJson) -> RawJson:
    """The payload of a `presence_diff` in which a part of a state joins."""
    return RawJson(b'{"joins":%b,"leaves":{}}' % part)


def presence_diffs(topic: str, changes: Sequence[Diff], most: int) -> list[Event]:
    """The events that report several changes, in order, in few frames.

    Each has at most `most` bytes of members: changes that do not fit one event
    are spread over several, and one that does not fit by itself is split.
    """
    whole = presence_diff(topic, changes)
    if whole is None:
        return []
    if _size(whole.payload) <= most:
        return [whole]
    groups = _packed(changes, lambda change: _size(change.payload()), most)
    events = (_events(topic, group, most) for group in groups)
    return [event for each in events for event in each]


def _size(payload: object) -> int:
    return len(dumps(payload))


def _packed(
    items: Iterable[T], size_of: Callable[[T], int], most: int
) -> Iterator[list[T]]:
    """The items in order, as many together as fit; one that does not is alone."""
    group: list[T] = []
    total = 0
    for item in items:
        size = size_of(item)
        if group and total + size > most:
            yield group
            group, total = [], 0
        group.append(item)
        total += size
    yield group


def _events(topic: str, group: list[Diff], most: int) -> Iterator[Event]:
    """The event of a group; several for a single change that is too large."""
    if len(group) > 1 or _size(group[0].payload()) <= most:
        yield from filter(None, [presence_diff(topic, group)])
        return
    *pieces, last = _pieces(group[0], most)
    for piece in (*pieces, last):
        if (event := presence_diff(topic, [piece])) is not None:
            event.more = piece is not last
            yield event


def _pieces(change: Diff, most: int) -> Iterator[Diff]:
    """A change as several of the same version: first who came, then who left."""
    came, left = metas_of(change.joins), metas_of(change.leaves)
    for part in _packed(came, _size_of_one, most):
        if part:
            yield Diff(state_of(part), {}, change.version)
    for part in _packed(left, _size_of_one, most):
        if part:
            yield Diff({}, state_of(part), change.version)


def _size_of_one(pair: tuple[str, Meta]) -> int:
    return _size(state_of([pair]))
