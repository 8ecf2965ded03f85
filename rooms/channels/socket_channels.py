"""Owns the channels of one socket, and carries out the steps of its connection."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any, ClassVar, Final

from beam.config.conf import conf
from beam.loops import per_settings
from beam.telemetry import metrics
from presence.state import State
from rooms.channels.channel import Channel
from rooms.channels.failure_replies import FailureReplies
from rooms.channels.inbound import Inbound
from rooms.channels.joins import join_rate, run_join
from rooms.channels.results import Refused
from rooms.channels.router import Patterns
from rooms.messaging.background_tasks import background_tasks
from rooms.messaging.channel_queue import Message, weigh
from rooms.messaging.connections import Closeable, connections
from rooms.messaging.fanout import release
from rooms.monitoring import client_log
from rooms.protocol.close_codes import Close
from rooms.protocol.connection import CRASHED, Connection, Limits
from rooms.protocol.frame import Frame, reply
from rooms.protocol.handshake import Handshake
from rooms.protocol.reasons import Reason
from rooms.protocol.step import CloseSocket, Ignore, Join, Leave, Push, Refuse, Send

JOIN_UNITS: Final = 10
"""What a join costs of the inbound rate."""

UNREAD_SECONDS: Final = 0.02
"""How often a join checks whether its client has read what it was sent before."""


class SocketChannels:
    """The joined channels of one socket; their `ConnectionInterface`.

    The rules are in `rooms.protocol.connection`. `inbound` hands it the messages of
    the client, one after the other; none during a join.
    """

    __slots__ = (
        "_channels",
        "_connection",
        "_consumer",
        "_entering",
        "_patterns",
        "auth_token",
        "departed",
        "failures",
        "identity",
        "inbound",
        "is_closed",
        "params",
        "socket",
    )

    # The counters of frames and joins.
    frames_in: ClassVar = metrics.FRAMES_IN
    joins: ClassVar = metrics.JOINS

    def __init__(
        self, consumer: Closeable, handshake: Handshake, patterns: Patterns
    ) -> None:
        """`consumer`: the connection, which is closed after a bug or a bad frame."""
        self.socket = consumer.socket
        self.identity = consumer.identity
        self.params, self.auth_token = handshake.params, handshake.auth_token
        self.departed: dict[str, State] = {}
        self.is_closed = False
        self.inbound = Inbound(self)
        self._patterns = patterns
        self._consumer = consumer
        self._connection = Connection(handshake.vsn, patterns, limits())
        self._channels: dict[str, Channel] = {}
        # The channel whose join is under way.
        self._entering: Channel | None = None
        # None until the first failure: most clients have none.
        self.failures: FailureReplies | None = None

    def receive(self, data: Message) -> None:
        """Handle one message. A bug ends this connection only."""
        try:
            self._do(data)
        except Exception as error:  # noqa: BLE001 - the others must be served
            client_log.crashed("A connection failed", error)
            self._consumer.close(Close.BAD_FRAME, "failed")

    def _do(self, data: Message) -> None:
        self.frames_in.value += 1
        match self._connection.receive_data(data):
            case Push(frame):
                self._channels[frame.topic].handle(frame, data)
            case Send(frames):
                self.socket.send(frames)
            case Join(frame):
                self._start_join(frame)
            case Leave(frame):
                channel = self._channels[frame.topic]
                channel.leave(partial(self._leave, channel, data), weigh(data))
            case Refuse() as refusal:
                self._refuse(refusal)
            case CloseSocket(code):
                metrics.BAD_FRAMES.value += 1
                self._consumer.close(code)
            case Ignore():
                metrics.STALE.value += 1

    def _refuse(self, refusal: Refuse) -> None:
        if not refusal.is_join:
            metrics.MESSAGES_REFUSED.count(refusal.reason)
            self.socket.send((refusal.reply,))
            return
        metrics.JOINS_REFUSED.count(refusal.reason)
        self.inbound.spend(JOIN_UNITS - 1)
        self._reply_to_failure(refusal.reply, refusal.reason, "join")
        topic = refusal.reply.topic
        if type(topic) is str:
            user_id = self.identity.user_id
            client_log.join_refused(topic, user_id, refusal.reason, refusal.message)
        if refusal.replaces:
            self.ended(self._channels[topic])

    def _leave(self, channel: Channel, data: Message) -> None:
        # Decoded again: while it waited, a frame would have taken more memory.
        answer = reply(self.decode(data), "ok", {}, channel.join_ref)
        self.socket.send((answer,))
        self.ended(channel)

    # Joins.

    def _start_join(self, frame: Frame) -> None:
        self.inbound.spend(JOIN_UNITS - 1)
        self.inbound.hold()
        task = background_tasks().spawn(self.join(frame))
        task.add_done_callback(self._on_join_done)

    def _on_join_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._consumer.close(Close.BAD_FRAME, "failed")
        self.inbound.release()

    async def join(self, frame: Frame) -> None:
        """Run a join to its reply; the messages behind it wait."""
        await self._wait_until_read()
        if not await self._end_replaced(frame.topic):
            return
        kind = self._patterns.find(frame.topic)
        if kind is None or connections().is_draining:
            self._reject(frame, {"reason": Reason.SHUTTING_DOWN})
            return
        if wait := join_rate().try_spend(1, time.monotonic()):
            metrics.JOINS_LIMITED.value += 1
            self._reject(frame, Refused(Reason.RATE_LIMITED, wait=wait).response)
            return
        channel = kind(frame.topic, frame, self)
        self._entering = channel
        response, accepted = await run_join(channel, frame.payload)
        self._entering = None
        if not accepted or self.is_closed:
            channel.close()
        if self.is_closed:
            return
        if accepted:
            await self._accept(frame, channel, response)
        else:
            self._reject(frame, response)

    async def _wait_until_read(self) -> None:
        """Wait while the client has much to read: a large room adds a lot at once.

        A client that reconnects joins all its rooms in one go.
        """
        while self.socket.is_behind() and not self.is_closed:  # noqa: ASYNC110 - rare
            await asyncio.sleep(UNREAD_SECONDS)

    async def _end_replaced(self, topic: str) -> bool:
        """End the channel that a second join replaces, presence included.

        False: the connection ended during that.
        """
        old = self._channels.pop(topic, None)
        if old is not None:
            old.close()
            if old.gone is not None:
                await asyncio.wait([old.gone])
        return not self.is_closed

    async def _accept(self, frame: Frame, channel: Channel, response: Any) -> None:
        self.joins.value += 1
        if self.failures is not None:
            self.failures.token_accepted()
        self._channels[frame.topic] = channel
        self.socket.send(self._connection.accept(frame, response))
        try:
            await channel.joined()
        except Exception as error:  # noqa: BLE001 - a channel may raise anything
            self.crashed(channel, error)
        release(channel)

    def _reject(self, frame: Frame, response: Any) -> None:
        metrics.JOINS_REFUSED.count(response["reason"])
        answer, *closed = self._connection.reject(frame, response)
        self._reply_to_failure(answer, response["reason"], "join")
        if closed:
            # At once: a V1 client would apply a delayed one to its next join.
            self.socket.send(closed)

    def _reply_to_failure(self, answer: Frame, reason: str, kind: str) -> None:
        if self.failures is None:
            self.failures = FailureReplies()
        delay = self.failures.delay(reason)
        self.failures.schedule(answer, delay, kind, self._send_unless_over)

    def _send_unless_over(self, answer: Frame) -> None:
        # Clients that ignore refs would end a channel that was joined again.
        is_crash = answer.event == "phx_error"
        is_over = is_crash and answer.topic in self._connection.joined
        if not self.is_closed and not is_over:
            self.socket.send((answer,))

    # See `rooms.channels.connection_interface.ConnectionInterface`.

    def decode(self, data: Message) -> Frame:
        """A message as a frame; it was accepted before."""
        return self._connection.decode(data)

    def add_waiting(self, size: int) -> None:
        """So many more bytes of the client wait, or so many fewer (below 0)."""
        self.inbound.add_waiting(size)

    def ended(self, channel: Channel) -> None:
        """The channel stopped in order: send `phx_close`, forget it."""
        if self._forget(channel):
            self.socket.send(self._connection.end(channel.topic))
            _terminate(channel)

    def crashed(self, channel: Channel, error: Exception) -> None:
        """The channel raised: send `phx_error`, forget it."""
        _log_crash(channel, error)
        self._fail(channel)

    def overflowed(self, channel: Channel) -> None:
        """Too much waits in the channel: send `phx_error`, forget it."""
        self._fail(channel)

    def _fail(self, channel: Channel) -> None:
        """End a channel with `phx_error`: its client joins again."""
        if self._forget(channel):
            _terminate(channel)
            [answer] = self._connection.crash(channel.topic)
            self._reply_to_failure(answer, CRASHED["reason"], "crash")

    def _forget(self, channel: Channel) -> bool:
        if self._channels.get(channel.topic) is not channel:
            return False
        del self._channels[channel.topic]
        return True

    def close(self, *, lost: bool) -> None:
        """End all channels, once. Never awaits: it runs in a cancelled task too.

        `lost`: members may come back within their grace period.
        """
        self.is_closed = True
        if self._entering is not None:
            self._entering.close()
        for channel in list(self._channels.values()):
            _terminate(channel, lost=lost)
        self._channels.clear()
        self.departed.clear()
        self.inbound.close()


def _terminate(channel: Channel, *, lost: bool = False) -> None:
    """End a channel. If it raises, the others end all the same."""
    for end in (partial(channel.close, lost=lost), channel.terminate):
        try:
            end()
        except Exception as error:  # noqa: BLE001 - a channel may raise anything
            _log_crash(channel, error)


def _log_crash(channel: Channel, error: Exception) -> None:
    metrics.CRASHES.value += 1
    client_log.crashed(f"{type(channel).__name__} crashed", error)


@per_settings
def limits() -> Limits:
    """What one connection may send."""
    return Limits(
        conf().max_channels,
        conf().max_message_bytes,
        conf().max_message_depth,
        bool(conf().strict_json),
    )
