"""The demo page in Chromium, in the windows of two users."""

from __future__ import annotations

import asyncio
import subprocess
from urllib.parse import urlencode

import pytest
from playwright.async_api import Browser, Page, expect

from tests.conftest import Serve
from tests.processes import Server

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"


class Window:
    """A window of the demo page, and the errors of its console."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.console_errors: list[str] = []
        page.on("pageerror", lambda error: self.console_errors.append(str(error)))
        page.on("console", self._listen)

    def _listen(self, message: object) -> None:
        if getattr(message, "type", "") == "error":
            self.console_errors.append(getattr(message, "text", ""))

    async def say(self, text: str) -> None:
        """Type a message and send it."""
        await self.page.get_by_label("Message", exact=True).fill(text)
        await self.page.get_by_role("button", name="Send").click()

    async def receives(self, text: str) -> None:
        """Wait until the conversation shows a text."""
        found = self.page.locator(".message .text").filter(has_text=text)
        await expect(found).to_have_count(1)

    async def sees(self, *names: str) -> None:
        """Wait until exactly these members are listed."""
        await expect(self.page.locator(".member .name")).to_have_text(list(names))


async def open_window(
    browser: Browser, server: Server, name: str, room: str = "lobby"
) -> Window:
    """A window with its own profile that has joined the room."""
    page = await (await browser.new_context()).new_page()
    window = Window(page)
    await page.goto(f"{server.url}/?{urlencode({'name': name, 'room': room})}")
    await expect(page.locator("#state")).to_have_text("online")
    return window


async def test_two_windows_talk(browser: Browser, beam_server: Serve) -> None:
    server = beam_server()
    ada = await open_window(browser, server, "Ada")
    grace = await open_window(browser, server, "Grace")
    await ada.sees("Ada", "Grace")
    await grace.sees("Ada", "Grace")

    await ada.page.get_by_label("Message", exact=True).press_sequentially("hel")
    await expect(grace.page.locator("#typing")).to_contain_text("Ada is typing")
    await ada.say("hello")

    await grace.receives("hello")
    await expect(grace.page.locator("#typing")).to_be_empty()
    await grace.say(HOSTILE)
    await ada.receives(HOSTILE)
    await grace.page.context.close()
    await ada.sees("Ada")
    assert await ada.page.title() == "lobby · Beam"
    assert ada.console_errors == []


async def test_the_form_opens_the_room(browser: Browser, beam_server: Serve) -> None:
    server = beam_server()
    page = await browser.new_page()
    await page.goto(server.url)

    await page.get_by_label("Your name").fill("Ada")
    await page.get_by_label("Room").fill("kitchen")
    await page.get_by_role("button", name="Join the room").click()

    await expect(page.locator("#state")).to_have_text("online")
    await expect(page.locator("#where")).to_have_text("in kitchen")


async def test_a_private_message_reaches_one_member(
    browser: Browser, beam_server: Serve
) -> None:
    server = beam_server()
    names = ("Ada", "Grace", "Linus")
    ada, grace, linus = [await open_window(browser, server, name) for name in names]
    await ada.sees(*names)

    await ada.page.get_by_role("button", name="Grace").click()
    await ada.say("only you")
    await ada.page.locator("#to").click()
    await ada.say("all of you")

    await grace.receives("only you")
    for window in (grace, linus):
        await window.receives("all of you")
    await expect(grace.page.locator(".message.private")).to_have_count(1)
    await expect(linus.page.locator(".message")).to_have_count(1)


@pytest.mark.parametrize("room", ["lobby", 'it\'s "ours" ü $(x) `y`'])
async def test_the_curl_command_of_the_page_works(
    browser: Browser, beam_server: Serve, room: str
) -> None:
    server = beam_server()
    ada = await open_window(browser, server, "Ada", room)
    grace = await open_window(browser, server, "Grace", room)

    command = await ada.page.locator("#curl").inner_text()
    done = await asyncio.to_thread(
        subprocess.run, ["bash", "-c", command], capture_output=True, timeout=20
    )

    assert done.returncode == 0
    for window in (ada, grace):
        await window.receives("The document changed")
        await expect(window.page.locator(".message.backend")).to_have_count(1)


async def test_the_page_reconnects_after_a_restart(
    browser: Browser, beam_server: Serve
) -> None:
    server = beam_server()
    ada = await open_window(browser, server, "Ada")
    grace = await open_window(browser, server, "Grace")
    await ada.sees("Ada", "Grace")

    await asyncio.to_thread(server.stop)
    await expect(ada.page.locator("#state")).to_have_text("reconnecting")
    await asyncio.to_thread(server.start)

    for window in (ada, grace):
        await expect(window.page.locator("#state")).to_have_text(
            "online", timeout=15_000
        )
    # Both are back now: each waits up to 5 s between its attempts.
    for window in (ada, grace):
        await window.sees("Ada", "Grace")
    await ada.say("back")
    await grace.receives("back")


async def test_several_windows_of_one_user_are_one_member(
    browser: Browser, beam_server: Serve
) -> None:
    server = beam_server()
    ada = await open_window(browser, server, "Ada")
    await open_window(browser, server, "Ada")

    await ada.sees("Ada")
    await expect(ada.page.locator(".member small")).to_have_text("you · 2 windows")


async def test_an_invalid_room_id_is_explained(
    browser: Browser, beam_server: Serve
) -> None:
    server = beam_server()
    page = await browser.new_page()

    await page.goto(f"{server.url}/?{urlencode({'name': 'Ada', 'room': 'x' * 300})}")

    await expect(page.get_by_role("alert")).to_contain_text("1 to 200 characters")
