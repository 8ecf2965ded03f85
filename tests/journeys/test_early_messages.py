"""Messages that a client sends before its opening handshake is answered."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.conftest import Serve
from tests.journeys.conftest import Connect
from tests.processes import Server
from tests.raw import RawClient

SECRET = {"secret": "dev-secret"}


async def wait_for_metric(server: Server, line: str) -> None:
    """Wait until `/metrics` has a line that begins like this."""
    async with asyncio.timeout(5), httpx.AsyncClient() as http:
        while True:
            answer = await http.get(f"{server.url}/metrics", headers=SECRET)
            if any(each.startswith(line) for each in answer.text.splitlines()):
                return


async def delayed(server: Server, raw: Connect) -> RawClient:
    """A client whose handshake is delayed, as the connections before it failed."""
    for _ in range(6):
        client = await raw(server, "ada")
        client.send()
        await client.to_the_end()
    client = await RawClient.begin(server, "ada")
    await wait_for_metric(
        server, 'beam_answers_delayed_total{process="1",reason="connect"} 5.0'
    )
    return client


async def test_a_message_sent_before_the_handshake_is_answered_is_handled_after_it(
    beam_server: Serve, raw: Connect
) -> None:
    client = await delayed(beam_server(BEAM_FAILURES_BEFORE_DELAY="1"), raw)

    client.send(None, "1", "phoenix", "heartbeat", {"x": "y" * 1_000})

    assert b" 101 " in await client.reader.readuntil(b"\r\n\r\n")
    assert b'"1","phoenix","phx_reply"' in (await client.frame()).payload
    await client.abort()


async def test_a_client_that_sends_too_much_before_the_answer_is_dropped(
    beam_server: Serve, raw: Connect
) -> None:
    server = beam_server(BEAM_FAILURES_BEFORE_DELAY="1")
    client = await delayed(server, raw)

    client.send(None, "1", "phoenix", "heartbeat", {"x": "y" * 100_000})

    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await client.reader.readexactly(1)
    await wait_for_metric(
        server, 'beam_connections_refused_total{process="1",reason="malformed"} 1.0'
    )
    await wait_for_metric(server, 'beam_connections{process="1"} 0.0')
    await client.abort()
