"""Owns which changes of a topic's presence were delivered, in whatever order. Pure.

Changes are numbered where they are made, and come from several processes: a
stalled one may tell long after another took its members for dead. Of what comes
late, that which a later change has already overruled is left out, so that
applying all of them in any order gives one state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from presence.state import Diff, State, metas_of, state_of

# Changes that are remembered while an earlier one is missing, or no state is known.
MAX_KEPT: Final = 10_000


class VersionLog:
    """The changes of one topic that were delivered in one process.

    `known`: all up to this one were; None until a state is known. `ahead`: those
    that came before an earlier one.
    """

    __slots__ = ("_reported", "ahead", "known")

    def __init__(self) -> None:
        self.known: int | None = None
        self.ahead: set[int] = set()
        # ref -> the last change that told of it, while an earlier one is missing.
        self._reported: dict[str, int] = {}

    @property
    def latest(self) -> int:
        """The last change that was delivered."""
        return max(self.ahead, default=self.known or 0)

    def add_next(self, versions: Sequence[int]) -> bool:
        """Take changes that follow on what is known, without looking into them."""
        if self.known is None or self.ahead or versions[0] != self.known + 1:
            return False
        last = versions[-1]
        if last - versions[0] != len(versions) - 1:
            return False
        self.known = last
        return True

    def add(self, changes: Iterable[Diff]) -> list[Diff]:
        """Take changes in any order: what still holds of each."""
        return [self._add(change) for change in changes]

    def add_part(self, part: Diff) -> Diff:
        """Take a part of a change whose last part is still to come."""
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
        """The metas of which no later change has told."""
        reported = self._reported
        return state_of(
            (key, meta)
            for key, meta in metas_of(state)
            if reported.get(meta["phx_ref"], 0) <= version
        )

    def start_at(self, version: int) -> None:
        """A member was given a state with all changes up to a version.

        Only the first counts: what the others have missed is still missing.
        """
        if self.known is None:
            self.known = version
            self.ahead = {later for later in self.ahead if later > version}
            self._advance()

    def restart_at(self, version: int) -> None:
        """All members were given a state.

        It may be behind what was delivered: a Redis that lost its data and has a
        slower clock numbers from lower on. What came before then says nothing
        about what comes; a change that is missed by that is found missing.
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
            # Nobody asks: a state that is given to members begins again.
            self.ahead = {max(self.ahead)}
