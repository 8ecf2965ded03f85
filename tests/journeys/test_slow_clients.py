"""Clients that read slowly or not at all, and every byte that they get."""

from __future__ import annotations

import asyncio

import httpx
import psutil
import pytest

from tests.clients import until
from tests.conftest import Serve
from tests.journeys.conftest import Connect
from tests.journeys.test_overload import rss
from tests.processes import Server
from tests.raw import RawClient, close_code

MESSAGE = 60_000
# Bytes that the system may buffer for a connection on the loopback.
SYSTEM = 12_000_000
SECRET = {"secret": "dev-secret"}


async def member(raw: Connect, server: Server, user_id: str) -> RawClient:
    """A client that has joined the room, and received its own presence."""
    client = await raw(server, user_id)
    client.join("r")
    await client.event("presence_diff")
    return client


async def send_messages(client: RawClient, messages: int) -> bytes:
    """Send messages to the room, each after the reply to the one before.

    Ends early if a member leaves: the text of that diff, else nothing.
    """
    body = {"broadcast": True, "x": "y" * MESSAGE}
    for n in range(messages):
        client.send("1", str(n + 2), "room:r", "new_msg", body | {"n": n})
        while b'"phx_reply"' not in (frame := await client.frame()).payload[:100]:
            if b'"leaves":{"' in frame.payload:
                return frame.payload
    return b""


async def leave(client: RawClient) -> bytes:
    """The text of the next diff in which a member leaves."""
    while b'"leaves":{"' not in (frame := await client.event("presence_diff")).payload:
        pass
    return frame.payload


def connections(server: Server) -> int:
    """The number of connections of the server's process."""
    assert server.process is not None
    found = psutil.Process(server.process.pid).net_connections("tcp")
    return sum(each.status == psutil.CONN_ESTABLISHED for each in found)


async def metric(server: Server, line: str) -> bool:
    """Whether `/metrics` has a line that begins like this."""
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{server.url}/metrics", headers=SECRET)
    return any(each.startswith(line) for each in answer.text.splitlines())


@pytest.mark.parametrize("kind", ["beam", "uvicorn"])
async def test_a_client_that_stops_reading_gets_whole_frames_and_then_1013(
    beam_server: Serve, raw: Connect, kind: str
) -> None:
    server = beam_server(kind, BEAM_INBOUND_RATE="100000")
    slow, ada = await member(raw, server, "slow"), await member(raw, server, "ada")
    before = rss(server)

    left = await send_messages(ada, 400)

    # The other members see it leave, although it has not read the close frame.
    assert b'"leaves":{"slow:1"' in left
    assert rss(server) - before < 8 * 1_048_576
    frames = await slow.to_the_end()
    assert close_code(frames[-1]) == 1013
    sent = [frame.body["n"] for frame in frames if frame.event_or_none == "new_msg"]
    assert sent == list(range(len(sent)))
    assert len(sent) > 20


async def test_a_client_that_never_reads_is_dropped_and_its_memory_freed(
    beam_server: Serve, raw: Connect
) -> None:
    server = beam_server(
        BEAM_INBOUND_RATE="100000",
        BEAM_OUTBOUND_SECONDS="1",
        BEAM_OUTBOUND_LIMIT="8000000",
    )
    ada = await member(raw, server, "ada")
    empty = rss(server)
    grown = []

    for n in range(3):
        await member(raw, server, f"slow{n}")
        await ada.event("presence_diff")
        # Above the limit, below the ceiling: the client is not closed yet.
        assert await send_messages(ada, (SYSTEM + 12_000_000) // MESSAGE) == b""
        grown.append(rss(server) - empty)
        assert f'"leaves":{{"slow{n}:1"'.encode() in await leave(ada)
        await until(lambda: connections(server) == 1, 10)

    assert grown[0] > 10_000_000
    # The allocator keeps freed memory for the next client.
    assert grown[-1] < 2 * grown[0]
    assert await metric(server, 'beam_slow_consumers_closed_total{process="1"} 3.0')


@pytest.mark.parametrize("kind", ["beam", "uvicorn"])
async def test_a_client_that_reads_slowly_for_longer_than_a_period_is_kept(
    beam_server: Serve, raw: Connect, kind: str
) -> None:
    server = beam_server(
        kind,
        BEAM_INBOUND_RATE="100000",
        BEAM_OUTBOUND_SECONDS="0.5",
        BEAM_OUTBOUND_LIMIT="4000000",
    )
    slow, ada = await member(raw, server, "slow"), await member(raw, server, "ada")
    messages = (SYSTEM + 2_000_000) // MESSAGE
    sending = asyncio.create_task(send_messages(ada, messages))

    # About 6 MB/s: four times the required rate, for several periods.
    for n in range(messages):
        assert (await slow.event("new_msg")).body["n"] == n
        await asyncio.sleep(0.01)

    await sending
    slow.send("1", "9", "room:r", "new_msg", {"broadcast": True})
    assert b'"ok"' in (await slow.event("phx_reply")).payload


@pytest.mark.parametrize("kind", ["beam", "uvicorn", "daphne"])
async def test_batches_that_arrive_together_close_no_client_that_reads(
    beam_server: Serve, raw: Connect, kind: str
) -> None:
    server = beam_server(kind)
    reader = await member(raw, server, "reader")
    payload = {"x": "y" * MESSAGE}
    item = {"room_id": "r", "event": "changed", "payload": payload}
    batch = {"events": [item] * 14}

    async with httpx.AsyncClient(headers=SECRET, timeout=30) as http:
        url = f"{server.url}/api/v1/events"
        answers = await asyncio.gather(*(http.post(url, json=batch) for _ in range(4)))

    assert [answer.status_code for answer in answers] == [200] * 4
    for _ in range(4 * 14):
        assert (await reader.event("changed")).body == payload


async def test_a_drain_ends_in_time_although_a_client_does_not_read(
    beam_server: Serve, raw: Connect
) -> None:
    server = beam_server(BEAM_INBOUND_RATE="100000")
    await member(raw, server, "slow")
    ada = await member(raw, server, "ada")
    assert await send_messages(ada, 400)
    ending = asyncio.create_task(ada.to_the_end())

    status = await asyncio.to_thread(server.stop)

    assert status == 0
    assert close_code((await ending)[-1]) == 1012
    assert "Traceback" not in server.text()


async def test_pongs_for_a_client_that_does_not_read_do_not_accumulate(
    beam_server: Serve, raw: Connect
) -> None:
    server = beam_server(
        BEAM_INBOUND_RATE="100000",
        BEAM_OUTBOUND_SECONDS="60",
        BEAM_OUTBOUND_LIMIT="1000000",
    )
    slow, ada = await member(raw, server, "slow"), await member(raw, server, "ada")
    await send_messages(ada, (SYSTEM + 1_000_000) // MESSAGE)
    before = rss(server)

    ping = b"\x89\xfd" + bytes(4) + b"p" * 125
    for _ in range(200):
        slow.writer.write(ping * 1_000)
        await slow.writer.drain()

    await until(lambda: slow.writer.transport.get_write_buffer_size() == 0, 30)
    assert rss(server) - before < 8_000_000
