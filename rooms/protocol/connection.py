"""Owns the channel rules of one connection: a frame in, a `Step` out.

Sections 3 and 8 of the Phoenix wire protocol. `Connection` names what is to
be done; the consumer does it and tells the connection how it ended. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from rooms.protocol.messages import Frame, Reason, reply

CRASHED: Final = {"reason": "channel_crash"}


@dataclass(frozen=True, slots=True)
class Send:
    """Write these frames; nothing else happens."""

    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Refuse:
    """Write these frames, which say no."""

    frames: tuple[Frame, ...]
    reason: Reason
    is_join: bool


@dataclass(frozen=True, slots=True)
class Join:
    """Run the join. `replaces`: this connection's channel of the topic ends first."""

    frame: Frame
    replaces: bool


@dataclass(frozen=True, slots=True)
class Leave:
    """Hand the leave to the channel of the topic, behind what waits there."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Push:
    """Hand the event to the channel of the topic."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Ignore:
    """A stale frame: dropped in silence."""


Step = Send | Refuse | Join | Leave | Push | Ignore
IGNORE: Final = Ignore()


@dataclass(slots=True)
class Connection:
    """The protocol state of one socket: which topics it joined, and as what.

    `joined` maps a topic to the join_ref exactly as it was sent, null
    included. Only the methods below change it. `matches` tells whether a topic
    has a channel at all.
    """

    matches: Callable[[str], bool]
    max_channels: int = 100
    joined: dict[str, Any] = field(default_factory=dict)

    def receive(self, frame: Frame) -> Step:
        """What a frame of the client asks for (section 3, first rule that fits)."""
        match frame:
            case Frame(topic="phoenix", event="heartbeat"):
                return Send((reply(frame, "ok", {}, None),))
            case Frame(topic=str(), event="phx_join"):
                return self._join(frame)
            case Frame(event="phx_leave"):
                return self._leave(frame)
        if not self._is_joined(frame.topic):
            return refuse(frame, Reason.UNMATCHED_TOPIC, None)
        return IGNORE if self._is_stale(frame) else Push(frame)

    def _join(self, frame: Frame) -> Step:
        if not self.matches(frame.topic):
            return refuse(frame, Reason.UNMATCHED_TOPIC, None)
        replaces = frame.topic in self.joined
        if not replaces and len(self.joined) >= self.max_channels:
            return refuse(frame, Reason.TOO_MANY_CHANNELS, frame.join_ref)
        return Join(frame, replaces)

    def _leave(self, frame: Frame) -> Step:
        if not self._is_joined(frame.topic):
            return Send((reply(frame, "ok", {}, frame.join_ref),))
        return IGNORE if self._is_stale(frame) else Leave(frame)

    def _is_joined(self, topic: Any) -> bool:
        # Any JSON value may come as a topic; lists and objects do not hash.
        return type(topic) is str and topic in self.joined

    def _is_stale(self, frame: Frame) -> bool:
        """Null fits always, all else if it is equal, with type (Phoenix 1.8.12)."""
        sent, known = frame.join_ref, self.joined[frame.topic]
        if sent is None:
            return False
        return type(sent) is not type(known) or bool(sent != known)

    def end(self, topic: str) -> tuple[Frame, ...]:
        """The channel ended in order: the topic is free, the client is told."""
        join_ref = self.joined.pop(topic)
        return (Frame(join_ref, join_ref, topic, "phx_close", {}),)

    def crash(self, topic: str) -> tuple[Frame, ...]:
        """The channel raised: the topic is free, the client will rejoin."""
        join_ref = self.joined.pop(topic)
        return (Frame(join_ref, join_ref, topic, "phx_error", CRASHED),)

    def accept(self, join: Frame, response: Any) -> tuple[Frame, ...]:
        """The join went well: its reply, then the close of the one it replaced."""
        closed = self._replaced(join.topic)
        self.joined[join.topic] = join.join_ref
        return (reply(join, "ok", response, join.join_ref), *closed)

    def reject(self, join: Frame, response: Any) -> tuple[Frame, ...]:
        """The join was refused; a channel it replaced is gone all the same."""
        closed = self._replaced(join.topic)
        return (reply(join, "error", response, join.join_ref), *closed)

    def _replaced(self, topic: str) -> tuple[Frame, ...]:
        return self.end(topic) if topic in self.joined else ()


def refuse(frame: Frame, reason: Reason, join_ref: Any, message: str = "") -> Refuse:
    """An error reply: the reason and, if there is one, a message for developers."""
    response = {"reason": reason, "message": message} if message else {"reason": reason}
    answer = reply(frame, "error", response, join_ref)
    return Refuse((answer,), reason, is_join=frame.event == "phx_join")


def channel_join_ref(join: Frame) -> Any:
    """What a channel puts into its own pushes and replies (section 3.3)."""
    return join.ref if join.join_ref is None else join.join_ref
