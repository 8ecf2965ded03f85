"""Owns the arithmetic of presence: states, diffs, and how they combine.

The shapes are those of the Phoenix client's `Presence`: a state is
`{key: {"metas": [meta, ...]}}`, a meta has a unique `phx_ref`. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Meta = dict[str, Any]
State = dict[str, dict[str, list[Meta]]]


@dataclass(frozen=True, slots=True)
class Diff:
    """What changed. `version` numbers the changes of a topic, ascending."""

    joins: State = field(default_factory=dict)
    leaves: State = field(default_factory=dict)
    version: int = 0

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.joins or self.leaves)

    def payload(self) -> dict[str, State]:
        """The payload of `presence_diff`; both members are always there."""
        return {"joins": self.joins, "leaves": self.leaves}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state and the version of the last change it contains."""

    state: State
    version: int


def state_of(metas: Iterable[tuple[str, Meta]]) -> State:
    """Group (key, meta) pairs, in the order given: oldest first in a key."""
    state: State = {}
    for key, meta in metas:
        if (presence := state.get(key)) is None:
            state[key] = {"metas": [meta]}
        else:
            presence["metas"].append(meta)
    return state


def metas_of(state: State) -> Iterable[tuple[str, Meta]]:
    """The inverse of `state_of`."""
    for key, presence in state.items():
        for meta in presence["metas"]:
            yield key, meta


def by_ref(state: State) -> dict[str, tuple[str, Meta]]:
    """The metas by their `phx_ref`: what two equal states have in common."""
    return {meta["phx_ref"]: (key, meta) for key, meta in metas_of(state)}


def diff(old: State, new: State) -> Diff:
    """What turns `old` into `new`: metas are compared by `phx_ref`."""
    before, after = by_ref(old), by_ref(new)
    return Diff(
        joins=state_of(pair for ref, pair in after.items() if ref not in before),
        leaves=state_of(pair for ref, pair in before.items() if ref not in after),
    )


def apply(state: State, change: Diff) -> State:
    """The state after a diff, as the client computes it: joins, then leaves."""
    merged = by_ref(state) | by_ref(change.joins)
    gone = by_ref(change.leaves)
    return state_of(pair for ref, pair in merged.items() if ref not in gone)


def merge(changes: Iterable[Diff]) -> Diff:
    """Several diffs, in order, as one.

    A meta that joined and left within is in neither, nor is one that left and
    came back: nobody needs to know.
    """
    changes = list(changes)
    if not any(change.leaves for change in changes):
        return _merge_joins(changes)
    joins: dict[str, tuple[str, Meta]] = {}
    leaves: dict[str, tuple[str, Meta]] = {}
    version = 0
    for change in changes:
        came = by_ref(change.joins)
        joins |= {ref: came[ref] for ref in came if leaves.pop(ref, None) is None}
        gone = by_ref(change.leaves)
        leaves |= {ref: gone[ref] for ref in gone if joins.pop(ref, None) is None}
        version = max(version, change.version)
    return Diff(state_of(joins.values()), state_of(leaves.values()), version)


def _merge_joins(changes: list[Diff]) -> Diff:
    """`merge` where nobody left, as in a storm of joins: no ref is there twice."""
    joins: State = {}
    version = 0
    for change in changes:
        for key, presence in change.joins.items():
            if key in joins:
                presence = {"metas": joins[key]["metas"] + presence["metas"]}
            joins[key] = presence
        version = max(version, change.version)
    return Diff(joins, {}, version)


OWN_MEMBERS = ("phx_ref", "phx_ref_prev")


def with_refs(meta: Mapping[str, Any], ref: str, prev: str | None = None) -> Meta:
    """A meta with its refs; refs that the caller put in are overwritten."""
    plain = {name: meta[name] for name in meta if name not in OWN_MEMBERS}
    refs = {"phx_ref": ref} if prev is None else {"phx_ref": ref, "phx_ref_prev": prev}
    return plain | refs
