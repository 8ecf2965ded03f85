"""Clients that read slowly or not at all, seen from the bytes that they get."""

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
# What the system may hold of a connection on the loopback.
SYSTEM = 12_000_000
SECRET = {"secret": "dev-secret"}


async def member(raw: Connect, server: Server, user_id: str) -> RawClient:
    """A client that has joined the room and seen itself there."""
    client = await raw(server, user_id)
    client.join("r")
    await client.event("presence_diff")
    return client


async def talk(client: RawClient, messages: int) -> bytes:
    """Send messages to the room, each when the one before was answered.

    Ends early where somebody left: the text of that diff, else nothing.
    """
    body = {"broadcast": True, "x": "y" * MESSAGE}
    for n in range(messages):
        client.send("1", str(n + 2), "room:r", "new_msg", body | {"n": n})
        while b'"phx_reply"' not in (heard := await client.frame()).payload[:100]:
            if b'"leaves":{"' in heard.payload:
                return heard.payload
    return b""


async def leave(client: RawClient) -> bytes:
    """The text of the next diff in which somebody left."""
    while b'"leaves":{"' not in (heard := await client.event("presence_diff")).payload:
        pass
    return heard.payload


def connections(server: Server) -> int:
    """How many connections the server's process has."""
    assert server.process is not None
    found = psutil.Process(server.process.pid).net_connections("tcp")
    return sum(each.status == psutil.CONN_ESTABLISHED for each in found)


async def metric(server: Server, line: str) -> bool:
    """Whether the figures have a line that begins so."""
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

    left = await talk(ada, 400)

    # For the others it has left, although it has not read the close frame.
    assert b'"leaves":{"slow:1"' in left
    assert rss(server) - before < 8 * 1_048_576
    frames = await slow.to_the_end()
    assert close_code(frames[-1]) == 1013
    heard = [frame.body["n"] for frame in frames if frame.event_or_none == "new_msg"]
    assert heard == list(range(len(heard)))
    assert len(heard) > 20


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
        # Above the limit, below the ceiling: nobody says any more.
        assert await talk(ada, (SYSTEM + 12_000_000) // MESSAGE) == b""
        grown.append(rss(server) - empty)
        assert f'"leaves":{{"slow{n}:1"'.encode() in await leave(ada)
        await until(lambda: connections(server) == 1, 10)

    assert grown[0] > 10_000_000
    # The allocator keeps what is free for the next.
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
    talking = asyncio.create_task(talk(ada, messages))

    # Some 6 MB/s: four times what is asked for, and several periods long.
    for n in range(messages):
        assert (await slow.event("new_msg")).body["n"] == n
        await asyncio.sleep(0.01)

    await talking
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
    assert await talk(ada, 400)
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
    await talk(ada, (SYSTEM + 1_000_000) // MESSAGE)
    before = rss(server)

    ping = b"\x89\xfd" + bytes(4) + b"p" * 125
    for _ in range(200):
        slow.writer.write(ping * 1_000)
        await slow.writer.drain()

    await until(lambda: slow.writer.transport.get_write_buffer_size() == 0, 30)
    assert rss(server) - before < 8_000_000
