"""States and diffs of presence, and how they combine. Pure.

The shapes are those of `Presence` of the Phoenix client: a state is
`{key: {"metas": [meta, ...]}}`, and every meta has a unique `phx_ref`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Meta = dict[str, Any]
State = dict[str, dict[str, list[Meta]]]


@dataclass(frozen=True, slots=True)
class Diff:
    """The metas that joined and left. `version`: the number of the change."""

    joins: State = field(default_factory=dict)
    leaves: State = field(default_factory=dict)
    version: int = 0

    def __bool__(self) -> bool:
        """Whether any meta joined or left."""
        return bool(self.joins or self.leaves)

    def payload(self) -> dict[str, State]:
        """The payload of `presence_diff`. It always has `joins` and `leaves`."""
        return {"joins": self.joins, "leaves": self.leaves}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state and the version of the last change it contains."""

    state: State
    version: int


def state_of(metas: Iterable[tuple[str, Meta]]) -> State:
    """Group (key, meta) pairs by key. The metas of a key keep their order."""
    state: State = {}
    for key, meta in metas:
        if (presence := state.get(key)) is None:
            state[key] = {"metas": [meta]}
        else:
            presence["metas"].append(meta)
    return state


def metas_of(state: State) -> Iterable[tuple[str, Meta]]:
    """The (key, meta) pairs of a state: the inverse of `state_of`."""
    for key, presence in state.items():
        for meta in presence["metas"]:
            yield key, meta


def by_ref(state: State) -> dict[str, tuple[str, Meta]]:
    """The (key, meta) pairs of a state by `phx_ref`. Compare states with it."""
    return {meta["phx_ref"]: (key, meta) for key, meta in metas_of(state)}


def diff(old: State, new: State) -> Diff:
    """The diff from `old` to `new`. Metas are compared by `phx_ref`."""
    before, after = by_ref(old), by_ref(new)
    return Diff(
        joins=state_of(pair for ref, pair in after.items() if ref not in before),
        leaves=state_of(pair for ref, pair in before.items() if ref not in after),
    )


def apply(state: State, change: Diff) -> State:
    """The state after a diff, as the client computes it: joins first, then leaves."""
    merged = by_ref(state) | by_ref(change.joins)
    gone = by_ref(change.leaves)
    return state_of(pair for ref, pair in merged.items() if ref not in gone)


def merge(changes: Iterable[Diff]) -> Diff:
    """One diff in place of several, given in order.

    A meta that joined and then left is in neither part, and so is a meta that left
    and then joined again.
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
    """`merge` of diffs without leaves, as when many join at once: refs are unique."""
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
    """A meta with these refs. Refs that it already has are replaced."""
    plain = {name: meta[name] for name in meta if name not in OWN_MEMBERS}
    refs = {"phx_ref": ref} if prev is None else {"phx_ref": ref, "phx_ref_prev": prev}
    return plain | refs
