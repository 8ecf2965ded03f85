"""What Beam relies on in redis-py and hiredis."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

from redis.asyncio import Connection, ConnectionPool
from redis.asyncio.client import PubSub

from tests.upstream.relied_on import relies_on

MESSAGE = b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\n%02d\r\n"


class Subscription(PubSub):
    """Records what is sent, and has no connection."""

    def __init__(self) -> None:
        super().__init__(ConnectionPool())
        self.sent: list[tuple[Any, ...]] = []

    async def execute_command(self, *command: Any) -> Any:
        """Record a command."""
        self.sent.append(command)


def parsing(*data: bytes) -> Any:
    """A connection that has received the data, and parsed nothing yet."""
    connection: Any = Connection()
    connection._reader = asyncio.StreamReader()
    connection._parser.on_connect(connection)
    for part in data:
        connection._reader.feed_data(part)
    return connection


@relies_on(
    "redis",
    *("_parsers", "NOT_ENOUGH_DATA", "_parser", "_reader"),
    to="take all events that one read brought, without a timer for each",
)
async def test_messages_that_were_read_together_can_be_taken_from_the_parser() -> None:
    parsers = import_module("redis._parsers.hiredis")
    connection = parsing(MESSAGE % 1 + MESSAGE % 2 + MESSAGE % 3 + MESSAGE[:9])

    first = await connection.read_response()
    reader = connection._parser._reader
    others = [reader.gets(), reader.gets()]

    assert [first, *others] == [[b"message", b"c", b"%02d" % n] for n in (1, 2, 3)]
    assert reader.gets() is parsers.NOT_ENOUGH_DATA


@relies_on("hiredis", "gets", to="take all events that one read brought")
async def test_a_message_of_hiredis_is_a_list_of_bytes() -> None:
    connection = parsing()
    reader = connection._parser._reader

    reader.feed(MESSAGE % 7)
    message = reader.gets()

    assert type(message) is list
    assert message == [b"message", b"c", b"07"]


@relies_on(
    "redis",
    *("pending_unsubscribe_channels", "encoder", "on_connect"),
    to="notice that a subscription was made again, without the channels that were left",
)
async def test_a_new_connection_subscribes_to_the_channels_of_the_old_one() -> None:
    subscription: Any = Subscription()
    subscription.channels = {b"kept": None}
    left = subscription.encoder.encode("left")
    subscription.pending_unsubscribe_channels.add(left)

    await subscription.on_connect(Connection())

    assert left == b"left"
    assert subscription.sent == [("SUBSCRIBE", b"kept")]
    assert subscription.pending_unsubscribe_channels == set()


@relies_on(
    "redis",
    *("handle_message", "is_connected"),
    to="take confirmations of subscriptions, and notice that a connection is lost",
)
async def test_a_confirmation_can_be_handled_without_reading_it() -> None:
    subscription = Subscription()

    confirmation = await subscription.handle_message([b"subscribe", b"c", 1])

    expected = {"type": "subscribe", "pattern": None, "channel": b"c", "data": 1}
    assert confirmation == expected
    assert not Connection().is_connected
