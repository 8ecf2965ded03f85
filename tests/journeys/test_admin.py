"""An admin in Chromium, while official clients join, send messages and are removed.

`BEAM_SCREENSHOTS=FOLDER` writes the screenshots of docs/admin.md to a folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from rooms.auth import jwt_tokens
from tests.conftest import Serve
from tests.journeys.test_phoenix_client import arguments
from tests.journeys.test_server import join
from tests.processes import (
    NODE_FOLDER,
    ROOT,
    RedisServer,
    Server,
    find_node,
)

pytestmark = [pytest.mark.browser, pytest.mark.node]

NAMES = ("ada", "bob", "carol", "dan")
# The interval at which each of them sends: see visitors.mjs.
TALK_SECONDS = 0.15
PASSWORD = "correct-horse-battery"
HEADERS = {"secret": "dev-secret"}
MAKE_VIEWER = """
from django.contrib.auth.models import Permission, User
user = User.objects.create_user("eve", password="{password}", is_staff=True)
user.user_permissions.set(Permission.objects.filter(codename="view_room"))
"""


def manage(server: Server, *arguments: str) -> str:
    """The output of a management command, run with the server's settings."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=os.environ | server.env,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


class Visitors:
    """Official clients in node that have joined a room."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def expect(self, **expected: Any) -> None:
        """Wait for a line with these values; skip others."""
        assert self._process.stdout is not None
        async with asyncio.timeout(15):
            while line := await self._process.stdout.readline():
                reported = json.loads(line)
                if expected.items() <= reported.items():
                    return
        pytest.fail(f"the visitors ended without {expected}")

    def command(self, text: str) -> None:
        """Send a command: see visitors.mjs."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n".encode())


@asynccontextmanager
async def visitors(server: Server, room: str = "lobby") -> AsyncIterator[Visitors]:
    """Clients that have joined, and send messages until the end of the block."""
    users = {name: jwt_tokens.mint_user(name, 600) for name in NAMES}
    process = await asyncio.create_subprocess_exec(
        find_node(),
        "visitors.mjs",
        arguments(server, users=users, room=room),
        cwd=NODE_FOLDER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    clients = Visitors(process)
    try:
        await clients.expect(event="joined")
        yield clients
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def log_in(
    context: BrowserContext, server: Server, name: str, password: str
) -> Page:
    """A page of a user that has logged in."""
    page = await context.new_page()
    await page.goto(f"{server.url}/admin/")
    await page.get_by_label("Username").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    return page


async def to_room(page: Page, server: Server, room: str = "lobby") -> None:
    """Open the page of a live room from the list, and wait until it is live."""
    link = page.get_by_role("link", name=room, exact=True)
    async with asyncio.timeout(15):
        while True:
            await page.goto(f"{server.url}/admin/rooms/room/?state=live")
            if await link.count():
                break
    await link.click()
    await expect(page.locator("#beam-status")).to_have_text("live")


async def picture(page: Page, name: str) -> None:
    """Write a screenshot for the docs if `BEAM_SCREENSHOTS` is set."""
    if folder := os.environ.get("BEAM_SCREENSHOTS"):
        path = Path(folder) / f"admin-{name}.png"
        await page.screenshot(path=path, full_page=True)


async def tile_shows(page: Page, name: str, expected: float) -> None:
    """Wait until a tile shows about this value: a busy machine slows the clients."""
    value = page.locator(f"[data-name={name}] .value")
    async with asyncio.timeout(30):
        while True:
            text = (await value.inner_text()).replace(",", "")
            if text != "–" and 0.4 * expected < float(text) < 1.4 * expected:
                return
            await asyncio.sleep(0.2)


def sessions(page: Page) -> Any:
    """The first cells of the members' table."""
    return page.locator("#beam-members tr td:first-child")


@pytest.mark.redis
async def test_an_admin_watches_and_moderates_a_room(
    browser: Browser, beam_server: Serve, shared_redis: RedisServer
) -> None:
    server = beam_server("two processes", REDIS_URL=shared_redis.url)
    password = manage(server, "beam_admin").split()[-1]
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await log_in(context, server, "admin", password)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await picture(page, "index")
    async with visitors(server) as clients:
        await to_room(page, server)

        # Members and messages appear without reloading.
        await expect(sessions(page)).to_have_text([f"{name}:1" for name in NAMES])
        talk = page.locator("#beam-live-events code", has_text="bob says")
        await expect(talk.first).to_be_visible()
        process = page.locator("#beam-members tr").first.locator("td").nth(4)
        await expect(process).to_contain_text("#")
        await expect(page.locator("#beam-live-events li").nth(11)).to_be_attached()
        await picture(page, "room")

        # A member is removed; its client gets the reason, and its channel closes.
        await (
            page.locator("#beam-members tr", has_text="bob:1")
            .get_by_text("Remove")
            .click()
        )
        await page.get_by_label("Reason").fill("rude")
        await page.get_by_label("Block").select_option("600")
        await picture(page, "remove")
        await page.get_by_role("button", name="Remove").click()
        await clients.expect(name="bob", event="beam_removed", reason="rude")
        await clients.expect(name="bob", event="phx_close")
        await expect(sessions(page)).to_have_text(["ada:1", "carol:1", "dan:1"])
        clients.command("join bob")
        await clients.expect(name="bob", event="answer", reason="blocked")

        # An event reaches every client.
        await page.get_by_role("link", name="Send event").click()
        await page.get_by_label("Event").fill("notice")
        await page.get_by_label("Payload").fill('{"text": "closing soon"}')
        await page.get_by_role("button", name="Send event").click()
        await clients.expect(
            name="carol", event="notice", payload={"text": "closing soon"}
        )

        # The room is closed: all members are removed, and joins are refused.
        await page.get_by_role("link", name="Close room").click()
        await page.get_by_role("button", name="Close room").click()
        await clients.expect(name="ada", event="phx_close")
        clients.command("join ada")
        await clients.expect(name="ada", event="answer", reason="room_closed")
        await expect(page.locator("#beam-room-state")).to_have_text("closed")
        await expect(page.locator("#beam-no-members")).to_be_visible()

        await page.get_by_role("link", name="Open room").click()
        await page.get_by_role("button", name="Open room").click()
        await expect(page.locator("#beam-status")).to_have_text("live")
        clients.command("join ada")
        await clients.expect(name="ada", event="answer", status="ok")
        await expect(sessions(page)).to_have_text(["ada:1"])
    await page.get_by_role("link", name="History").click()
    for entry in ("Removed bob:1", "Sent event notice.", "Closed.", "Opened."):
        await expect(page.locator("#change-history")).to_contain_text(entry)
    assert errors == []


@pytest.mark.redis
async def test_the_live_view_updates_itself(
    browser: Browser, beam_server: Serve, shared_redis: RedisServer
) -> None:
    server = beam_server("two processes", REDIS_URL=shared_redis.url)
    password = manage(server, "beam_admin").split()[-1]
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await log_in(context, server, "admin", password)
    async with visitors(server, "standup"), httpx.AsyncClient() as http:
        await page.goto(f"{server.url}/admin/live/")
        await expect(page.locator("#beam-status")).to_have_text("live")
        await http.get(f"{server.url}/api/v1/rooms", headers={"secret": "wrong"})

        # It counts clients, and not the page itself.
        members = page.locator("[data-name=members] .value")
        await expect(members).to_have_text(str(len(NAMES)), timeout=30_000)
        sent = len(NAMES) / TALK_SECONDS
        await tile_shows(page, "messages", sent)
        await tile_shows(page, "deliveries", sent * len(NAMES))
        line = page.locator("[data-name=messages] .line").last
        await expect(line).to_be_attached(timeout=20_000)
        room = page.locator("#beam-busiest").get_by_role("link", name="standup")
        await expect(room).to_be_visible()
        await expect(page.locator("#beam-warnings")).to_contain_text(
            "wrong secret or key", timeout=15_000
        )
        # Processes of another test disappear within 20 s.
        lines = page.locator("#beam-processes tr")
        await expect(lines).to_have_count(2, timeout=30_000)
        await picture(page, "live")
        # Links have a transition between colours.
        await page.add_style_tag(content="* { transition: none !important }")
        await page.emulate_media(color_scheme="dark")
        await picture(page, "live-dark")
        await page.emulate_media(color_scheme="light")
        await page.set_viewport_size({"width": 390, "height": 844})
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390
        await picture(page, "live-phone")
        # A link keeps the focus while rows around it change.
        busy = page.locator("#beam-busiest tr", has_text="standup")
        before = await busy.inner_text()
        await room.focus()
        await expect(busy).not_to_have_text(before, timeout=20_000)
        await expect(room).to_be_focused()
        await room.press("Enter")
        await expect(page.locator("#beam-room-state")).to_have_text("open")
        await page.go_back()
    await expect(members).to_have_text("0", timeout=30_000)


async def test_the_live_view_counts_messages_and_explains_errors(
    browser: Browser, beam_server: Serve
) -> None:
    server = beam_server()
    password = manage(server, "beam_admin").split()[-1]
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await log_in(context, server, "admin", password)
    ada = await join(server, "ada", "quiet")
    await page.goto(f"{server.url}/admin/live/")
    members = page.locator("[data-name=members] .value")
    messages = page.locator("[data-name=messages] .value")
    warnings = page.locator("#beam-warnings")
    await expect(members).to_have_text("1", timeout=30_000)

    # Heartbeats are not counted as messages.
    for ref in range(200):
        await ada.send(f'[null,"{ref}","phoenix","heartbeat",{{}}]')
    await expect(warnings).not_to_contain_text("refused")
    payload = json.dumps({"room_token": "bad", "session_id": "a:b"})
    await ada.send(f'["9","9","room:other","phx_join",{payload}]')
    with pytest.raises(InvalidStatus):
        await connect(f"{server.socket_url}/websocket?user_token=bad", proxy=None)

    await expect(warnings).to_contain_text(
        "Joins refused: 1 (1 invalid_payload)", timeout=15_000
    )
    await expect(warnings).to_contain_text("Connections refused: 1 (1 token)")
    await expect(page.locator("[data-name=messages] .peak")).to_have_text("peak 0")
    await expect(messages).to_have_text("0")
    peak = page.locator("[data-name=errors] .peak")
    await expect(peak).not_to_have_text("peak 0", timeout=15_000)
    await picture(page, "errors")
    for _ in range(100):
        await ada.send('["1","8","room:quiet","new_msg",{"broadcast":true}]')
    await expect(page.locator("[data-name=messages] .peak")).not_to_have_text(
        "peak 0", timeout=20_000
    )
    await ada.close()


async def test_an_admin_without_the_permission_only_watches(
    browser: Browser, beam_server: Serve
) -> None:
    server = beam_server()
    manage(server, "shell", "--no-imports", "-c", MAKE_VIEWER.format(password=PASSWORD))
    page = await log_in(await browser.new_context(), server, "eve", PASSWORD)
    async with visitors(server):
        await to_room(page, server)

        await expect(sessions(page)).to_have_count(len(NAMES))
        for name in ("Send event", "Close room", "Remove", "Block", "Disconnect"):
            await expect(page.get_by_text(name, exact=True)).to_have_count(0)
        answer = await page.goto(page.url.replace("change", "close"))
        assert answer is not None
        assert answer.status == 403


async def test_text_of_clients_is_shown_as_text(
    browser: Browser, beam_server: Serve
) -> None:
    server = beam_server()
    password = manage(server, "beam_admin").split()[-1]
    page = await log_in(await browser.new_context(), server, "admin", password)
    hostile = "<img src=x onerror=\"document.title='owned'\">"
    async with visitors(server):
        await to_room(page, server)
        async with httpx.AsyncClient() as http:
            event = {"room_id": "lobby", "event": hostile, "payload": {"a": hostile}}
            url = f"{server.url}/api/v1/push_room_event"
            await http.post(url, json=event, headers=HEADERS)

        await expect(
            page.locator("#beam-live-events .event", has_text="<img")
        ).to_be_visible()
        assert await page.locator("#beam-live-events img").count() == 0
        assert "owned" not in await page.title()
