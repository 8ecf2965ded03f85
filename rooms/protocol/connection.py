"""The rules of one connection: a message of the client in, a `Step` out.

Sections 3 and 8 of the Phoenix wire protocol. `Connection` decodes a message,
checks it and returns what is to be done. `rooms.channels` does it, and reports
which joins were accepted and which channels ended. Pure.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any, Final

from rooms.protocol.close_codes import Close
from rooms.protocol.frame import Answerable, BadFrame, Frame, InvalidValue, Vsn, reply
from rooms.protocol.json_text import DEEPEST
from rooms.protocol.reasons import Reason
from rooms.protocol.ref_limits import LARGEST_KEPT_REF, LONGEST_TOPIC, can_be_joined
from rooms.protocol.serializer import decode
from rooms.protocol.step import (
    IGNORE,
    CloseSocket,
    Join,
    Leave,
    Push,
    Refuse,
    Send,
    Step,
)

CRASHED: Final = {"reason": "channel_crash"}
TOO_LONG: Final = (
    f"a topic must have at most {LONGEST_TOPIC} characters, "
    f"its refs at most {LARGEST_KEPT_REF} bytes"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may send; each is a setting.

    `max_message_bytes` counts characters of text messages. `max_message_depth`
    counts levels of nesting in a payload. With `strict_json` a value that is not
    valid JSON closes the socket, as in Phoenix; otherwise the message is refused.
    """

    max_channels: int = 100
    max_message_bytes: int = 65_536
    max_message_depth: int = DEEPEST
    strict_json: bool = False


@dataclass(slots=True)
class Connection:
    """The protocol state of one socket: its serializer, and the topics it joined.

    `joined` maps a topic to the join_ref exactly as it was sent, null
    included. Only the methods below change it. `topics`: those that
    have a channel at all.
    """

    vsn: Vsn
    topics: Container[str]
    limits: Limits = Limits()
    joined: dict[str, Any] = field(default_factory=dict)

    def receive_data(self, data: str | bytes) -> Step:
        """The step for one message of the client; text is `str`, binary `bytes`.

        Never raises. A message that cannot be used is refused if its topic and
        refs can be read; otherwise the socket is closed with 1011.
        """
        limits = self.limits
        try:
            frame = decode(data, self.vsn, limits.max_message_depth)
        except Answerable as error:
            return self._refuse_invalid(error)
        except BadFrame:
            return CloseSocket(Close.BAD_FRAME)
        if len(data) > limits.max_message_bytes:
            return self._refuse(frame, Reason.MESSAGE_TOO_LARGE, frame.join_ref)
        return self.receive_frame(frame)

    def decode(self, data: str | bytes) -> Frame:
        """The frame of a message that `receive_data` has accepted before."""
        return decode(data, self.vsn, self.limits.max_message_depth)

    def receive_frame(self, frame: Frame) -> Step:
        """The step for one frame of the client (section 3, first rule that applies)."""
        match frame:
            case Frame(topic="phoenix", event="heartbeat"):
                return Send((reply(frame, "ok", {}, None),))
            case Frame(topic=str(), event="phx_join"):
                return self._join(frame)
            case Frame(event="phx_leave"):
                return self._leave(frame)
        if not self._is_joined(frame.topic):
            return self._refuse(frame, Reason.UNMATCHED_TOPIC, None)
        return IGNORE if self._is_stale(frame) else Push(frame)

    def _refuse_invalid(self, error: Answerable) -> Step:
        if not isinstance(error, InvalidValue):
            message = ""
        elif self.limits.strict_json:
            return CloseSocket(Close.BAD_FRAME)
        else:
            message = str(error)
        frame = error.frame
        return self._refuse(frame, error.reason, frame.join_ref, message)

    def _refuse(
        self, frame: Frame, reason: Reason, join_ref: Any, message: str = ""
    ) -> Refuse:
        """`message`: for developers; empty if the reason says enough."""
        response = {"reason": reason} | ({"message": message} if message else {})
        answer = reply(frame, "error", response, join_ref)
        is_join = frame.event == "phx_join"
        replaces = is_join and self._is_joined(frame.topic)
        return Refuse(answer, reason, is_join, message, replaces)

    def _join(self, frame: Frame) -> Step:
        if frame.topic not in self.topics:
            return self._refuse(frame, Reason.UNMATCHED_TOPIC, None)
        replaces = frame.topic in self.joined
        if not replaces and len(self.joined) >= self.limits.max_channels:
            return self._refuse(frame, Reason.TOO_MANY_CHANNELS, frame.join_ref)
        if not can_be_joined(frame):
            reason = Reason.INVALID_PAYLOAD
            return self._refuse(frame, reason, frame.join_ref, TOO_LONG)
        return Join(frame, replaces)

    def _leave(self, frame: Frame) -> Step:
        if not self._is_joined(frame.topic):
            return Send((reply(frame, "ok", {}, frame.join_ref),))
        return IGNORE if self._is_stale(frame) else Leave(frame)

    def _is_joined(self, topic: Any) -> bool:
        # Any JSON value may come as a topic; lists and objects cannot be hashed.
        return type(topic) is str and topic in self.joined

    def _is_stale(self, frame: Frame) -> bool:
        """Whether a join_ref is not null and not equal in value and type (Phoenix)."""
        sent, known = frame.join_ref, self.joined[frame.topic]
        if sent is None:
            return False
        return type(sent) is not type(known) or bool(sent != known)

    def end(self, topic: str) -> tuple[Frame, ...]:
        """The channel ended in order: the frames that close it."""
        join_ref = self.joined.pop(topic)
        return (Frame(join_ref, join_ref, topic, "phx_close", {}),)

    def crash(self, topic: str) -> tuple[Frame, ...]:
        """The channel failed: the frames after which its client rejoins."""
        join_ref = self.joined.pop(topic)
        return (Frame(join_ref, join_ref, topic, "phx_error", CRASHED),)

    def accept(self, join: Frame, response: Any) -> tuple[Frame, ...]:
        """The join was accepted: its reply, and the close of a channel it replaced."""
        closed = self._replaced(join.topic)
        self.joined[join.topic] = join.join_ref
        return (reply(join, "ok", response, join.join_ref), *closed)

    def reject(self, join: Frame, response: Any) -> tuple[Frame, ...]:
        """The join was refused: its reply, and the close of a channel it replaced."""
        closed = self._replaced(join.topic)
        return (reply(join, "error", response, join.join_ref), *closed)

    def _replaced(self, topic: str) -> tuple[Frame, ...]:
        return self.end(topic) if topic in self.joined else ()


def channel_join_ref(join: Frame) -> Any:
    """The join_ref of the pushes and replies of a channel (section 3.3)."""
    return join.ref if join.join_ref is None else join.join_ref
