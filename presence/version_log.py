"""Owns which changes of a topic's presence were delivered here, in any order. Pure.

Changes are numbered when they are made, and are published by several processes. A
process that was stopped may publish a change long after others reaped it. The part of a
late change that a later change overrules is left out, so that the changes lead to the
same state in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from presence.state import Diff, State, metas_of, state_of

# Changes that are kept while an earlier one is missing, or no state is known.
MAX_KEPT: Final = 10_000


class VersionLog:
    """The changes of one topic that were delivered in one process.

    `known`: all changes up to this version were delivered. None until a member was
    given a state. `ahead`: the versions above it that were delivered too early.
    """

    __slots__ = ("_reported", "ahead", "known")

    def __init__(self) -> None:
        self.known: int | None = None
        self.ahead: set[int] = set()
        # ref -> the last change that contains it, while an earlier one is missing.
        self._reported: dict[str, int] = {}

    @property
    def latest(self) -> int:
        """The highest version that was delivered."""
        return max(self.ahead, default=self.known or 0)

    def add_next(self, versions: Sequence[int]) -> bool:
        """Add changes that directly follow `known`. Otherwise return False.

        `versions`: their versions, ascending.
        """
        if self.known is None or self.ahead or versions[0] != self.known + 1:
            return False
        last = versions[-1]
        if last - versions[0] != len(versions) - 1:
            return False
        self.known = last
        return True

    def add(self, changes: Iterable[Diff]) -> list[Diff]:
        """Add changes in any order. Returns each without what is overruled."""
        return [self._add(change) for change in changes]

    def add_part(self, part: Diff) -> Diff:
        """Add a part of a change that is not its last part."""
        return self._add(part, whole=False)

    def _add(self, change: Diff, *, whole: bool = True) -> Diff:
        version = change.version
        rest = Diff(
            self._current(change.joins, version),
            self._current(change.leaves, version),
            version,
        )
        for state in (rest.joins, rest.leaves):
            for _, meta in metas_of(state):
                self._reported[meta["phx_ref"]] = version
        if whole and (self.known is None or version > self.known):
            self.ahead.add(version)
        self._advance()
        return rest

    def _current(self, state: State, version: int) -> State:
        """The metas that no later change contains."""
        reported = self._reported
        return state_of(
            (key, meta)
            for key, meta in metas_of(state)
            if reported.get(meta["phx_ref"], 0) <= version
        )

    def start_at(self, version: int) -> None:
        """A member was given a state of this version.

        Only the first call counts: what other members missed is still missing.
        """
        if self.known is None:
            self.known = version
            self.ahead = {later for later in self.ahead if later > version}
            self._advance()

    def restart_at(self, version: int) -> None:
        """All members were given a state of this version.

        It may be lower than delivered versions: after Redis lost its data, versions
        start from its clock, which may be slow. What was delivered before is
        forgotten. If a change is missed by that, `presence.missed_changes` finds it.
        """
        self.known = version
        self.ahead.clear()
        self._reported.clear()

    def _advance(self) -> None:
        while self.known is not None and self.known + 1 in self.ahead:
            self.known += 1
            self.ahead.remove(self.known)
        is_whole = self.known is not None and not self.ahead
        if is_whole or len(self._reported) > MAX_KEPT or len(self.ahead) > MAX_KEPT:
            self._reported.clear()
        if len(self.ahead) > MAX_KEPT:
            # Until members are given a state, `latest` is all that is needed.
            self.ahead = {max(self.ahead)}
