"""How the load generator sends to and reads from each kind of server.

Every dialect sends the same body: `{"s": sender, "n": number, "x": padding}`,
100 bytes in total by default, to all members of the room except the sender.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from rooms.auth import jwt_tokens

BODY_BYTES = 100
TTL = 3_600


def body(sender: int, number: int, size: int = BODY_BYTES) -> str:
    """The members of a message's payload, padded to `size` bytes with its braces."""
    text = f'"s":{sender},"n":{number},"x":"'
    return text + "x" * (size - len(text) - 3) + '"'


class Dialect(Protocol):
    """The protocol of one connection."""

    member: int
    size: int

    def url(self, base: str) -> str:
        """Where to connect."""

    def hello(self) -> list[bytes]:
        """What to send when the connection is open."""

    def greeting(self, frame: bytes) -> list[bytes] | None:
        """What to answer while joining; None once the member is in the room."""

    def message(self, number: int) -> bytes:
        """A message to everyone else in the room."""

    def direct(self, number: int, to: int) -> bytes:
        """A message to one other member."""

    def heartbeat(self) -> bytes:
        """A heartbeat; empty if the server sends pings."""


@dataclass(slots=True)
class Phoenix:
    """Beam: serializer V2, real tokens, replies and presence."""

    member: int
    room: str
    size: int = BODY_BYTES
    room_token: str = ""
    meta: int = 0

    def __post_init__(self) -> None:
        # Before anything is measured: signing is the backend's work.
        self.room_token = jwt_tokens.mint_room(self.room, TTL)

    def url(self, base: str) -> str:
        token = jwt_tokens.mint_user(f"u{self.member}", TTL)
        return f"{base}/socket/websocket?vsn=2.0.0&user_token={token}"

    def hello(self) -> list[bytes]:
        meta = f',"meta":{{"x":"{"x" * (self.meta - 8)}"}}' if self.meta else ""
        payload = f'{{"room_token":"{self.room_token}","session_id":"1"{meta}}}'
        return [f'["1","1","room:{self.room}","phx_join",{payload}]'.encode()]

    def greeting(self, frame: bytes) -> list[bytes] | None:
        if b'"phx_reply"' not in frame:
            return []
        if b'"status":"ok"' not in frame:
            raise RuntimeError(f"the join was refused: {frame!r}")
        return None

    def message(self, number: int) -> bytes:
        payload = f'{{"broadcast":true,{body(self.member, number, self.size)}}}'
        return f'["1","m","room:{self.room}","msg",{payload}]'.encode()

    def direct(self, number: int, to: int) -> bytes:
        to_one = f'"to":[{{"session":"u{to}:1"}}]'
        payload = f"{{{to_one},{body(self.member, number, self.size)}}}"
        return f'["1","m","room:{self.room}","msg",{payload}]'.encode()

    def heartbeat(self) -> bytes:
        return b'[null,"h","phoenix","heartbeat",{}]'


@dataclass(slots=True)
class Plain:
    """Plain Channels and node `ws`: the room is in the path, bodies are JSON."""

    member: int
    room: str
    size: int = BODY_BYTES

    def url(self, base: str) -> str:
        return f"{base}/{self.room}"

    def hello(self) -> list[bytes]:
        return []

    def greeting(self, frame: bytes) -> list[bytes] | None:
        return None if frame == b'"joined"' else []

    def message(self, number: int) -> bytes:
        return f"{{{body(self.member, number, self.size)}}}".encode()

    def direct(self, number: int, to: int) -> bytes:
        raise NotImplementedError("rooms only")

    def heartbeat(self) -> bytes:
        return b""


@dataclass(slots=True)
class SocketIo:
    """Socket.IO 4 over WebSocket: engine.io packet 4, socket.io event 2."""

    member: int
    room: str
    size: int = BODY_BYTES

    def url(self, base: str) -> str:
        return f"{base}/socket.io/?EIO=4&transport=websocket&room={self.room}"

    def hello(self) -> list[bytes]:
        return []

    def greeting(self, frame: bytes) -> list[bytes] | None:
        if frame.startswith(b"0"):
            return [b"40"]
        return None if b'"joined"' in frame else []

    def message(self, number: int) -> bytes:
        return f'42["msg",{{{body(self.member, number, self.size)}}}]'.encode()

    def direct(self, number: int, to: int) -> bytes:
        raise NotImplementedError("rooms only")

    def heartbeat(self) -> bytes:
        return b""
