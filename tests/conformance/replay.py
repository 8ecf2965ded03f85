"""Replays a vector of `vectors.json` against a server."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.conformance.matching import Mismatch, fill, match

SECONDS = 3.0


class Replay:
    """One run of one vector: its connections and what it captured."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._clients: dict[str, ClientConnection] = {}
        self._captured: dict[str, Any] = {}

    async def run(self, vector: dict[str, Any]) -> None:
        """Raises `Mismatch` if the server answers something else."""
        try:
            for name, client in vector["clients"].items():
                await self._connect(name, client)
            for step in vector["steps"]:
                await self._step(step)
        finally:
            for client in self._clients.values():
                await client.close()

    async def _connect(self, name: str, client: dict[str, Any]) -> None:
        query = client.get("raw_query") or urlencode(client["query"])
        url = f"{self._base.replace('http', 'ws', 1)}{client['path']}?{query}"
        expect = client["expect"]
        try:
            opened = await connect(
                url,
                max_size=None,
                compression=None,
                subprotocols=client.get("subprotocols"),
                additional_headers=client.get("headers"),
                ping_interval=None,
                close_timeout=1,
                proxy=None,
            )
        except InvalidStatus as refused:
            match(expect["status"], refused.response.status_code, {}, name)
            if "body" in expect:
                match(expect["body"], refused.response.body.decode(), {}, name)
            return
        self._clients[name] = opened
        match(expect["status"], 101, {}, name)
        if "subprotocol" in expect:
            match(expect["subprotocol"], opened.subprotocol, {}, name)
        if "extensions" in expect:
            assert opened.response is not None
            found = opened.response.headers.get("Sec-WebSocket-Extensions")
            match(expect["extensions"], found, {}, name)

    async def _step(self, step: dict[str, Any]) -> None:
        await getattr(self, f"_do_{step['op']}")(step)

    async def _receive(self, name: str, seconds: float = SECONDS) -> Any:
        try:
            message = await asyncio.wait_for(self._clients[name].recv(), seconds)
        except TimeoutError:
            raise Mismatch(f"{name}: nothing received in {seconds} s") from None
        except ConnectionClosed as closed:
            raise Mismatch(f"{name}: {closed} where a frame was expected") from None
        return json.loads(message) if isinstance(message, str) else message

    async def _do_send(self, step: dict[str, Any]) -> None:
        if "b64" in step:
            data: str | bytes = base64.b64decode(step["b64"])
        elif "text" in step:
            data = step["text"]
        else:
            data = json.dumps(step["json"], separators=(",", ":"), ensure_ascii=False)
        await self._clients[step["c"]].send(data)

    async def _do_send_raw_text(self, step: dict[str, Any]) -> None:
        data = base64.b64decode(step["b64"])
        await self._clients[step["c"]].send(data, text=True)

    async def _do_send_big(self, step: dict[str, Any]) -> None:
        with suppress(ConnectionClosed):  # the server may close first
            await self._clients[step["c"]].send("x" * step["bytes"])

    async def _do_expect(self, step: dict[str, Any]) -> None:
        name, frames = step["c"], list(step["frames"])
        if step["order"] == "exact":
            for frame in frames:
                match(frame, await self._receive(name), self._captured, name)
        while step["order"] != "exact" and frames:
            self._take(await self._receive(name), frames, name)

    def _take(self, value: Any, frames: list[Any], name: str) -> None:
        for frame in frames:
            captured = dict(self._captured)
            try:
                match(frame, value, captured, name)
            except Mismatch:
                continue
            self._captured.update(captured)
            frames.remove(frame)
            return
        raise Mismatch(f"{name}: unexpected {value!r}, waiting for {frames!r}")

    async def _do_expect_raw(self, step: dict[str, Any]) -> None:
        raw = await asyncio.wait_for(self._clients[step["c"]].recv(), SECONDS)
        if not isinstance(raw, str) or not re.search(step["regex"], raw):
            raise Mismatch(f"raw {raw!r} does not match {step['regex']}")

    async def _do_silence(self, step: dict[str, Any]) -> None:
        try:
            value = await asyncio.wait_for(
                self._clients[step["c"]].recv(), step["ms"] / 1000
            )
        except TimeoutError:
            return
        raise Mismatch(f"{step['c']}: {value!r} where nothing was expected")

    async def _do_expect_close(self, step: dict[str, Any]) -> None:
        try:
            value = await asyncio.wait_for(self._clients[step["c"]].recv(), SECONDS)
        except ConnectionClosed as closed:
            match(step["code"], closed.rcvd and closed.rcvd.code, {}, step["c"])
            return
        raise Mismatch(f"{step['c']}: {value!r} where a close was expected")

    async def _do_disconnect(self, step: dict[str, Any]) -> None:
        await self._clients[step["c"]].close(step["code"])

    async def _do_ping(self, step: dict[str, Any]) -> None:
        await asyncio.wait_for(await self._clients[step["c"]].ping(), SECONDS)

    async def _do_sleep(self, step: dict[str, Any]) -> None:
        await asyncio.sleep(step["ms"] / 1000)

    async def _do_parallel(self, step: dict[str, Any]) -> None:
        await asyncio.gather(*map(self._run_branch, step["branches"]))

    async def _run_branch(self, steps: list[dict[str, Any]]) -> None:
        for step in steps:
            await self._step(step)

    async def _do_http(self, step: dict[str, Any]) -> None:
        query = fill(step.get("query", {}), self._captured)
        headers = fill(step.get("headers", {}), self._captured)
        url = f"{self._base}{step['path']}"
        began = time.monotonic()
        async with httpx.AsyncClient(timeout=15, trust_env=False) as http:
            answer = await http.request(
                step["method"],
                url + ("?" + urlencode(query) if query else ""),
                headers=headers,
                json=step.get("json"),
                content=step.get("text"),
            )
        expect, took = step["expect"], (time.monotonic() - began) * 1000
        match(expect["status"], answer.status_code, {}, url)
        if "text" in expect:
            match(expect["text"], answer.text, {}, url)
        if "json" in expect:
            match(expect["json"], answer.json(), self._captured, url)
        for name, pattern in expect.get("headers", {}).items():
            match(pattern, answer.headers.get(name), self._captured, name)
        if not expect.get("min_ms", 0) <= took <= expect.get("max_ms", took):
            raise Mismatch(f"{url} took {took:.0f} ms")
