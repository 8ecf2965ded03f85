"""`Step`: what is to be done after a message of the client. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rooms.protocol.close_codes import Close
from rooms.protocol.frame import Frame
from rooms.protocol.reasons import Reason


@dataclass(frozen=True, slots=True)
class Send:
    """Write these frames; nothing else happens."""

    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Refuse:
    """Write an error reply. `message`: what it says in addition to the reason.

    `replaces`: the message was a join of a topic that is joined already. The
    channel of that topic ends, as after every second join.
    """

    reply: Frame
    reason: Reason
    is_join: bool = False
    message: str = ""
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Join:
    """Run the join. `replaces`: this connection's channel of the topic ends first."""

    frame: Frame
    replaces: bool


@dataclass(frozen=True, slots=True)
class Leave:
    """Hand the leave to the channel of the topic, behind its waiting messages."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Push:
    """Hand the event to the channel of the topic."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Ignore:
    """Do nothing: the frame belongs to an earlier join of the topic."""


@dataclass(frozen=True, slots=True)
class CloseSocket:
    """Close the socket with this code: what the client sent is not a frame."""

    code: Close


Step = Send | Refuse | Join | Leave | Push | Ignore | CloseSocket
IGNORE: Final = Ignore()
