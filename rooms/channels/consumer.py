"""Owns the WebSocket door: one consumer per connection.

A bare ASGI loop: read, decode, ask the rules, do what they say. It has no
mailbox and no task of its own beside the server's.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from channels.consumer import AsyncConsumer
from django.db import Error as DatabaseError

from beam import redis
from beam.config.conf import conf
from beam.loops import per_settings
from beam.telemetry import metrics
from presence.state import State
from rooms.auth import grants, verifier
from rooms.auth.client_ip import client_ip, counted_ip
from rooms.channels.channel import NULL, TURN, Channel, Refused
from rooms.channels.router import Patterns, patterns
from rooms.messaging.background_tasks import background_tasks
from rooms.messaging.connections import connections
from rooms.messaging.fanout import release
from rooms.messaging.hub import hub
from rooms.messaging.inbox import weigh
from rooms.messaging.outbound import (
    CLOSED_BY_CLIENT,
    EXTENSION,
    LOST,
    AsgiSocket,
    PreparedSocket,
    Socket,
)
from rooms.monitoring import client_log
from rooms.protocol import serializer
from rooms.protocol.connection import Connection, Limits
from rooms.protocol.handshake import Handshake, negotiate
from rooms.protocol.handshake import Refused as HandshakeRefused
from rooms.protocol.messages import Close, Frame, Reason, reply
from rooms.protocol.rate_limit import Pace, Streak, refusal_delay
from rooms.protocol.size_limits import is_short_frame
from rooms.protocol.step import CloseSocket, Ignore, Join, Leave, Push, Refuse, Send
from rooms.runtime import runtime

# What a message costs of the inbound rate.
UNIT_BYTES = 1_024
JOIN_UNITS = 10
CRASHED = "channel_crash"
# How often a join looks whether its client has read what it got before.
BEHIND_SECONDS = 0.02
# Ends that the client caused. If they come soon it will cause them again.
FAILURES = frozenset(
    {
        "failed",
        *(
            code.name.lower()
            for code in Close
            if code not in (Close.GOING_AWAY, Close.RESTART)
        ),
    }
)
SOON = 10.0
# Refusals that say nothing about the client.
NOT_ITS_FAULT = frozenset(
    {Reason.UNAVAILABLE, Reason.SHUTTING_DOWN, Reason.RATE_LIMITED}
)
# Answers that may wait at a time; more are sent at once.
MOST_LATE = 100
# Codes with which a client goes of its own accord.
ORDERLY = frozenset({1000, 1001, 1005})

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send_ = Callable[[dict[str, Any]], Awaitable[None]]


class SocketConsumer(AsyncConsumer):
    """One WebSocket that speaks Phoenix Channels.

    `idle_timeout`: seconds without anything from the client until the socket
    is closed with 1002; None takes the setting.
    """

    # Whether it is one of the connections that figures tell of.
    counts = True
    # Of an admin's login: its digest.
    session = ""
    # Joins and channels that failed, and answers to them that wait.
    _streak: Streak | None = None
    _late = 0
    # An alias that names no layer: the hub's mailbox is the only one.
    channel_layer_alias = ""

    identity: grants.Identity
    address: str
    socket: Socket
    params: dict[str, Any]
    auth_token: str | None

    def __init__(self, idle_timeout: float | None = None) -> None:
        self._conf = conf()
        self._idle_timeout = idle_timeout or self._conf.idle_timeout
        self._pace = Pace(self._conf.inbound_rate, self._conf.inbound_burst)
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False
        self._joining: asyncio.Task[None] | None = None
        self._entering: Channel | None = None
        # A list: an empty deque weighs 700 bytes.
        self._backlog: list[str | bytes] = []
        self.departed: dict[str, State] = {}
        self._channels: dict[str, Channel] = {}
        self._refused = 0
        # Bytes of the client that wait: behind a join, and in its channels.
        self._waiting = 0
        self._paused = False
        self._patterns: Patterns = patterns()
        self._connection: Connection

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection to its end."""
        await receive()  # websocket.connect
        try:
            shake = await self.admit(scope)
            if not await self._waits_its_turn(receive):
                return
        except HandshakeRefused as refusal:
            await deny(scope, send, refusal)
            return
        self.params, self.auth_token = shake.params, shake.auth_token
        await send({"type": "websocket.accept", "subprotocol": shake.subprotocol})
        self.socket = _socket(scope, send, shake)
        self._connection = Connection(shake.vsn, self._patterns.matches, limits())
        await self._serve(receive)

    async def admit(self, scope: Any) -> Handshake:
        """Check a connect request, and look for room. Raises `handshake.Refused`."""
        shake = await self.judge(scope)
        self.address = counted_ip(_address(scope))
        self._find_room()
        return shake

    def _find_room(self) -> None:
        if connections.draining:
            raise HandshakeRefused("this process is about to end", "draining")
        if not connections.has_room(self):
            metrics.CONNECTIONS_LIMITED.value += 1
            raise HandshakeRefused("too many of a user or an address", "limit")

    async def _waits_its_turn(self, receive: Receive) -> bool:
        """Let a client wait whose last connections failed; False: it is gone.

        Clients try again at once if a handshake was good. Raises
        `handshake.Refused` if there is no room afterwards.
        """
        delay = connections.delay(self, time.monotonic()) if self.counts else 0.0
        if not delay:
            return True
        metrics.DELAYED.count("connect")
        gone = asyncio.ensure_future(receive())
        done, _ = await asyncio.wait({gone}, timeout=delay)
        if done:
            return False
        gone.cancel()
        await asyncio.wait({gone})
        self._find_room()
        return True

    async def judge(self, scope: Any) -> Handshake:
        """`authenticate`; if that fails, the request is refused as well."""
        try:
            return await self.authenticate(scope)
        except HandshakeRefused:
            raise
        except (DatabaseError, redis.Unavailable, *redis.LIBRARY_ERRORS) as error:
            # A verifier may call Redis itself.
            message = f"a service is unavailable: {type(error).__name__}"
            raise HandshakeRefused(message, "unavailable") from None
        except Exception as error:  # noqa: BLE001 - a verifier may raise anything
            client_log.crashed("A connect request could not be judged", error)
            raise HandshakeRefused("it could not be judged", "failed") from None

    async def authenticate(self, scope: Any) -> Handshake:
        """Check a connect request, and set `identity`. Raises `handshake.Refused`."""
        shake = negotiated(scope, conf().allowed_origins)
        token = shake.params.get("user_token") or shake.auth_token
        try:
            self.identity = await verifier.identify(token)
        except grants.Unauthorized as refusal:
            raise HandshakeRefused(str(refusal), "token") from None
        except grants.BackendUnavailable:
            raise HandshakeRefused(
                "the backend is unavailable", "unavailable"
            ) from None
        return shake

    async def _serve(self, receive: Receive) -> None:
        """Returns at the end; on Beam's own server at once: no task a connection."""
        self._began = time.monotonic()
        connections.add(self)
        metrics.CONNECTED.value += self.counts
        self._watch()
        self._hear_control()
        if self.socket.listen(self.take, self._end):
            return
        heard, reason = getattr(self.socket, "heard", None), LOST
        try:
            while (message := await receive())["type"] == "websocket.receive":
                if heard is not None:
                    heard()
                data = message.get("text")
                wait = self.take(message["bytes"] if data is None else data)
                if wait:
                    await self.socket.pause(wait)
            reason = _why(message.get("code"))
        finally:
            self._end(reason)

    @staticmethod
    def _hear_control() -> None:
        """A hub that was never started, or could not be, is started now."""
        runtime().start()
        mine = hub()
        if not mine.is_alive:
            background_tasks().spawn(mine.start())

    def close(self, code: Close, reason: str = "") -> None:
        """End the connection: its channels at once, the socket by handshake.

        `reason`: for the log, where the code's name does not say enough.
        """
        self.socket.close(code)
        # No grace period for a user that somebody disconnected.
        lost = code is not Close.GOING_AWAY
        self._end(reason or code.name.lower(), lost=lost)

    def _end(self, reason: str, *, lost: bool = True) -> None:
        """Give everything back, once.

        Never awaits: it runs in a cancelled task too. `lost`: members may come
        back within their grace period.
        """
        if self._ended:
            return
        self._ended = True
        connections.discard(self)
        if self.counts:
            metrics.CLOSED.count(reason)
            self._note_failure(reason)
        metrics.MESSAGES_DROPPED.value += len(self._backlog)
        if self._timer is not None:
            self._timer.cancel()
        if self._entering is not None:
            self._entering.close()
        for channel in list(self._channels.values()):
            _part(channel, lost=lost)
        self._channels.clear()
        self._backlog.clear()
        self.departed.clear()
        self._go_on()
        seconds = time.monotonic() - self._began
        client_log.connection_ended(
            self.identity.user_id, self.address, seconds, reason
        )

    def _note_failure(self, reason: str) -> None:
        now = time.monotonic()
        if reason in FAILURES and now - self._began < SOON:
            connections.note_failure(self, now)

    def _watch(self) -> None:
        """Close a socket that fell silent; looks again when it could have."""
        left = self._idle_timeout - self.socket.idle_for()
        if left <= 0:
            self.close(Close.PROTOCOL_ERROR, "idle")
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(left + 0.001, self._watch)

    def take(self, data: str | bytes) -> float:
        """Handle one message of the client: see `rooms.messaging.outbound.Receiver`."""
        if self._ended:
            return 0.0
        self._handle(data)
        wait = self._pace.spend(1 + len(data) // UNIT_BYTES, time.monotonic())
        if self._waiting > self._conf.inbound_limit:
            if not self._paused:
                metrics.PAUSED.value += 1
            self._paused = True
            return math.inf
        if wait:
            metrics.SLOWED.value += 1
        return wait

    def waits(self, size: int) -> None:
        """See `Owner`. Reading goes on when half of it is done."""
        self._waiting += size
        if self._paused and self._waiting <= self._conf.inbound_limit // 2:
            self._go_on()

    def _go_on(self) -> None:
        """Read again from a client that was paused."""
        if self._paused:
            self._paused = False
            self.socket.resume()

    def _handle(self, data: str | bytes) -> None:
        """Behind a join that is under way."""
        if self._joining is not None or self._backlog:
            self._backlog.append(data)
            self._waiting += weigh(data)
        else:
            self._read_safely(data)

    def _read_safely(self, data: str | bytes) -> None:
        try:
            self._read(data)
        except Exception as error:  # noqa: BLE001 - a bug ends this connection only
            client_log.crashed("A connection failed", error)
            self.close(Close.BAD_FRAME, "failed")

    def _read(self, data: str | bytes) -> None:
        metrics.FRAMES_IN.value += self.counts
        match self._connection.receive_data(data):
            case Push(frame):
                self._channels[frame.topic].handle(frame, data)
            case Send(frames):
                self.socket.send(frames)
            case Join(frame):
                self._pace.spend(JOIN_UNITS - 1, time.monotonic())
                self._joining = background_tasks().spawn(self._join(frame))
                self._joining.add_done_callback(self._joined)
            case Leave(frame):
                channel = self._channels[frame.topic]
                channel.leave(partial(self._leave, channel, data), weigh(data))
            case Refuse() as refusal:
                self._refuse(refusal)
            case CloseSocket(code):
                metrics.BAD_FRAMES.value += 1
                self.close(code)
            case Ignore():
                metrics.STALE.value += 1

    def decode(self, data: str | bytes) -> Frame:
        """See `rooms.channels.channel.Owner`."""
        return self._connection.decode(data)

    def _refuse(self, refusal: Refuse) -> None:
        if not refusal.is_join:
            metrics.MESSAGES_REFUSED.count(refusal.reason)
            self.socket.send((refusal.reply,))
            return
        metrics.JOINS_REFUSED.count(refusal.reason)
        self._pace.spend(JOIN_UNITS - 1, time.monotonic())
        self._answer((refusal.reply,), self._failed(refusal.reason), "join")
        topic = refusal.reply.topic
        if type(topic) is str:
            user_id = self.identity.user_id
            client_log.join_refused(topic, user_id, refusal.reason, refusal.message)
        if refusal.replaces:
            self.ended(self._channels[topic])

    def _failed(self, reason: str) -> float:
        """A join failed, or a channel: seconds that its answer waits."""
        if reason in NOT_ITS_FAULT:
            return 0.0
        if self._streak is None:
            self._streak = Streak()
        now = time.monotonic()
        self._streak.note(now)
        return self._streak.delay(self._conf.fast_failures, now)

    def _answer(self, frames: tuple[Frame, ...], delay: float, kind: str) -> None:
        """Send the answer to a failure, now or later."""
        may_wait = self._late < MOST_LATE and all(map(is_short_frame, frames))
        if not delay or not may_wait:
            self.socket.send(frames)
            return
        self._late += 1
        metrics.DELAYED.count(kind)
        loop = asyncio.get_running_loop()
        loop.call_later(delay, self._answer_late, frames, kind)

    def _leave(self, channel: Channel, data: str | bytes) -> None:
        answer = reply(self.decode(data), "ok", {}, channel.join_ref)
        self.socket.send((answer,))
        self.ended(channel)

    def _joined(self, task: asyncio.Task[None]) -> None:
        """Go on with what came in during the join."""
        self._joining = None
        if not task.cancelled() and task.exception() is not None:
            self.close(Close.BAD_FRAME, "failed")
        self._work_off()

    def _work_off(self) -> None:
        """Handle what waits: a turn's worth, then the others have theirs."""
        for _ in range(TURN):
            if not self._backlog or self._joining is not None:
                return
            data = self._backlog.pop(0)
            self.waits(-weigh(data))
            self._read_safely(data)
        if self._backlog and self._joining is None:
            asyncio.get_running_loop().call_soon(self._work_off)

    async def _join(self, frame: Frame) -> None:
        await self._let_it_read()
        if not await self._give_way(frame.topic):
            return
        kind = self._patterns.find(frame.topic)
        if kind is None or connections.draining:
            self._reject(frame, {"reason": Reason.SHUTTING_DOWN})
            return
        if wait := _joins().ask(1, time.monotonic()):
            metrics.JOINS_LIMITED.value += 1
            self._reject(frame, Refused(Reason.RATE_LIMITED, wait=wait).response)
            return
        channel = kind(frame.topic, frame, self)
        self._entering = channel
        response, good = await _run_join(channel, frame.payload)
        self._entering = None
        if not good or self._ended:
            channel.close()
        if self._ended:
            return
        if good:
            await self._accept(frame, channel, response)
        else:
            self._reject(frame, response)

    async def _let_it_read(self) -> None:
        """Wait while the client has much to read: a large room adds a lot at once.

        A client that comes back joins all its rooms in one go.
        """
        while self.socket.is_behind() and not self._ended:  # noqa: ASYNC110 - rare
            await asyncio.sleep(BEHIND_SECONDS)

    async def _give_way(self, topic: str) -> bool:
        """A second join: the first is off the topic and out of presence.

        False: the connection ended meanwhile.
        """
        old = self._channels.pop(topic, None)
        if old is not None:
            old.close()
            if old.gone is not None:
                await asyncio.wait([old.gone])
        return not self._ended

    def _reject(self, frame: Frame, response: Any) -> None:
        metrics.JOINS_REFUSED.count(response["reason"])
        answer, *closed = self._connection.reject(frame, response)
        delay = self._failed(response["reason"])
        if response["reason"] == Reason.UNAUTHORIZED:
            self._refused += 1
            delay = refusal_delay(self._refused)
        self._answer((answer,), delay, "join")
        if closed:
            # Never late: with V1 it would close what was joined again meanwhile.
            self.socket.send(closed)

    def _answer_late(self, frames: tuple[Frame, ...], kind: str) -> None:
        self._late -= 1
        # What is joined again has crashed long ago: some clients read no refs.
        is_over = kind == "crash" and frames[0].topic in self._connection.joined
        if not self._ended and not is_over:
            self.socket.send(frames)

    async def _accept(self, frame: Frame, channel: Channel, response: Any) -> None:
        metrics.JOINS.value += self.counts
        self._refused = 0
        self._channels[frame.topic] = channel
        self.socket.send(self._connection.accept(frame, response))
        try:
            await channel.joined()
        except Exception as error:  # noqa: BLE001 - a channel may raise anything
            self.crashed(channel, error)
        release(channel)

    def ended(self, channel: Channel) -> None:
        """See `rooms.channels.channel.Owner`."""
        if self._forget(channel):
            self.socket.send(self._connection.end(channel.topic))
            _part(channel)

    def crashed(self, channel: Channel, error: Exception) -> None:
        """See `rooms.channels.channel.Owner`."""
        _log_crash(channel, error)
        self._fail(channel)

    def overflowed(self, channel: Channel) -> None:
        """See `rooms.channels.channel.Owner`."""
        self._fail(channel)

    def _fail(self, channel: Channel) -> None:
        """End a channel with `phx_error`: its client joins again."""
        if self._forget(channel):
            _part(channel)
            frames = self._connection.crash(channel.topic)
            self._answer(frames, self._failed(CRASHED), "crash")

    def _forget(self, channel: Channel) -> bool:
        if self._channels.get(channel.topic) is not channel:
            return False
        del self._channels[channel.topic]
        return True


def _refused(refusal: HandshakeRefused, scope: Any) -> None:
    metrics.REFUSED.count(refusal.reason)
    client_log.connect_refused(refusal.reason, str(refusal), _address(scope))


def _why(code: int | None) -> str:
    """Why a connection ended, by what another server says: some close by themselves."""
    if code in ORDERLY:
        return CLOSED_BY_CLIENT
    return Close(code).name.lower() if code in set(Close) else LOST


def _part(channel: Channel, *, lost: bool = False) -> None:
    """End a channel. One that raises costs the others nothing."""
    for end in (partial(channel.close, lost=lost), channel.terminate):
        try:
            end()
        except Exception as error:  # noqa: BLE001 - a channel may raise anything
            _log_crash(channel, error)


def _log_crash(channel: Channel, error: Exception) -> None:
    metrics.CRASHES.value += 1
    client_log.crashed(f"{type(channel).__name__} crashed", error)


def _written(channel: Channel, response: Any) -> Any:
    """What a join returned, as the body of its reply. Raises if it cannot be sent."""
    if response is None:
        return {}
    body = None if response is NULL else response
    if body != {}:
        frame = Frame(None, None, channel.topic, "phx_reply", None)
        serializer.encode(reply(frame, "ok", body, None), channel.socket.vsn)
    return body


async def _run_join(channel: Channel, payload: Any) -> tuple[Any, bool]:
    """The body of the join's reply, and whether the client is in."""
    try:
        return _written(channel, await channel.join(payload)), True
    except Refused as refusal:
        client_log.join_refused(
            channel.topic, channel.owner.identity.user_id, refusal.reason, refusal.why
        )
        return refusal.response, False
    except asyncio.CancelledError:
        channel.close()
        raise
    except Exception as error:  # noqa: BLE001 - a channel may raise anything
        client_log.crashed(f"A join of {type(channel).__name__} crashed", error)
        metrics.CRASHES.value += 1
        return {"reason": Reason.JOIN_CRASHED}, False


@per_settings
def limits() -> Limits:
    """What one connection may send."""
    return Limits(
        conf().max_channels,
        conf().max_message_bytes,
        conf().max_message_depth,
        bool(conf().strict_json),
    )


@per_settings
def _joins() -> Pace:
    """How many joins this process lets in."""
    return Pace(conf().join_rate, conf().join_burst)


def _address(scope: Any) -> str:
    peer = (scope.get("client") or ("",))[0]
    found = (v for name, v in scope["headers"] if name == b"x-forwarded-for")
    return client_ip(str(peer), b",".join(found).decode("latin-1"))


def _socket(scope: Any, send: Send_, shake: Handshake) -> Socket:
    if (writer := scope.get("extensions", {}).get(EXTENSION)) is not None:
        return PreparedSocket(writer, shake.vsn)
    limit, seconds = conf().outbound_limit, conf().outbound_seconds
    return AsgiSocket(send, shake.vsn, limit, seconds)


def negotiated(scope: Any, allowed: tuple[str, ...] | None) -> Handshake:
    """What a connect request says; `allowed`: origins. Raises `handshake.Refused`."""
    headers: dict[bytes, str] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name, value.decode("latin-1"))
    offered = scope.get("subprotocols") or []
    if not offered and (raw := headers.get(b"sec-websocket-protocol")):
        offered = [item.strip() for item in raw.split(",")]
    return negotiate(
        scope["query_string"],
        list(offered),
        headers.get(b"origin"),
        headers.get(b"host", ""),
        allowed,
    )


HTTP_RESPONSE: Final = "websocket.http.response"


async def deny(scope: Any, send: Any, refusal: HandshakeRefused) -> None:
    """Refuse a handshake, with its status if the server can send one, else 403."""
    _refused(refusal, scope)
    if HTTP_RESPONSE not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close"})
        return
    await _respond(send, refusal.status, b"", refusal.headers, HTTP_RESPONSE)


async def plain_http(scope: Any, receive: Any, send: Any) -> None:
    """The WebSocket path asked without an upgrade: refused as above, else 400."""
    status, body, headers = 400, b"", []
    if scope["method"] == "GET":
        consumer = SocketConsumer()
        try:
            await consumer.admit(scope)
            body = b"this is a WebSocket endpoint"
        except HandshakeRefused as refusal:
            _refused(refusal, scope)
            status, headers = refusal.status, refusal.headers
    kind = (b"content-type", b"text/plain; charset=utf-8")
    await _respond(send, status, body, [kind, *headers], "http.response")


async def _respond(
    send: Any, status: int, body: bytes, headers: list[tuple[bytes, bytes]], kind: str
) -> None:
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})
