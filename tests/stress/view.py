"""What a client knows of one joined room, computed as the official client does."""

from __future__ import annotations

import json
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from tests.stress.ledger import Membership


@dataclass
class View:
    """One joined room, as this client knows it."""

    topic: str
    join_ref: str
    membership: Membership
    # ref -> session; None until the state is there.
    refs: dict[str, str] | None = None
    pending: list[Any] = field(default_factory=list)
    # The last presence events, to print if the view is wrong.
    story: deque[str] = field(default_factory=lambda: deque(maxlen=400))

    def sessions(self) -> Counter[str]:
        """The sessions that are present, and how often."""
        return Counter((self.refs or {}).values())

    def follow(self, event: str, payload: Any, now: float) -> None:
        """Apply a presence event."""
        self.story.append(f"{now} {event} {json.dumps(payload)}")
        if event == "presence_state":
            self.refs = _pairs(payload)
            pending, self.pending = self.pending, []
            for diff in pending:
                self._apply(diff, now)
        elif self.refs is None:
            self.pending.append(payload)
        else:
            self._apply(payload, now)

    def _apply(self, diff: Any, now: float) -> None:
        assert self.refs is not None
        left = _pairs(diff["leaves"])
        self.refs |= _pairs(diff["joins"])
        for ref in left:
            self.refs.pop(ref, None)
        here = set(self.refs.values())
        for session in set(left.values()) - here:
            self.membership.gone.append((now, session))


def _pairs(state: Any) -> dict[str, str]:
    """ref -> session of every meta."""
    return {
        meta["phx_ref"]: session
        for session, presence in state.items()
        for meta in presence["metas"]
    }
