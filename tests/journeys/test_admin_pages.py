"""A room's page in Chromium, and what all live pages have in common."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest
from playwright.async_api import (
    Browser,
    expect,
)

from tests.clients import until
from tests.conftest import Serve
from tests.journeys.admin_pages import (
    DAY,
    FakeServer,
    admin_of,
    crowd,
    full,
    present,
    room_page,
)
from tests.journeys.test_admin import HEADERS, sessions

pytestmark = pytest.mark.browser

MANY = 3_000
LIST = "/admin/rooms/room/"
NEW_YORK = "America/New_York"
LONG = "x" * 200

TOO_WIDE = "document.documentElement.scrollWidth - innerWidth"
# The longest time between two painted frames, in ms.
WATCH_FRAMES = """() => {
  window.longest = 0;
  let last = performance.now();
  const look = (now) => {
    window.longest = Math.max(window.longest, now - last);
    last = now;
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""

# Texts whose contrast is too low for WCAG AA, with their ratio.
LOW_CONTRAST = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (part) =>
    part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) =>
    0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = parts(getComputedStyle(node).backgroundColor);
      if (colour[3] === undefined || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const says = (node) =>
    [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
  const found = [];
  for (const node of document.querySelectorAll("#content *")) {
    if (!says(node) || !node.checkVisibility()) continue;
    const colour = parts(getComputedStyle(node).color);
    const [a, b] = [light(colour), light(behind(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push(`${node.textContent.trim()}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""


async def test_a_room_with_3000_members_stays_usable(
    browser: Browser, beam_server: Serve
) -> None:
    server = beam_server()
    _, page = await admin_of(browser, server)
    began = time.time() - 2 * DAY
    fake = FakeServer(page, members=crowd(MANY, began), room={"owners": {}, "sent": []})
    await fake.start()
    await page.goto(room_page(server))
    await expect(sessions(page)).to_have_count(200)
    await expect(page.locator("#beam-member-count")).to_have_text("3,000")
    await expect(page.locator("#beam-filter-hint")).to_contain_text("2,800 more")

    # A link in a row keeps the focus.
    link = page.get_by_role("link", name="Disconnect user0100", exact=True)
    await link.focus()
    await page.evaluate(WATCH_FRAMES)
    for n in range(20):
        leaves = present(f"user{n:04}", began + n)
        fake.push(
            "presence_diff", {"joins": present(f"late{n}", began), "leaves": leaves}
        )
        for m in range(50):
            fake.push("new_msg", {"from": {"session": "a:1"}, "text": f"{n} {m}"})
        await asyncio.sleep(0.05)

    await expect(sessions(page).first).to_have_text("late0:1", timeout=3_000)
    await expect(page.get_by_text("user0019:1")).to_have_count(0)
    await expect(page.locator("#beam-live-events li").first).to_contain_text("19 49")
    assert await page.locator("#beam-live-events li").count() == 200
    await expect(link).to_be_focused()
    assert await page.evaluate("longest") < 2_000

    await page.get_by_label("Filter by session").fill("USER2999")
    await expect(sessions(page)).to_have_text(["user2999:1"])
    await page.get_by_label("Filter by session").fill("absent")
    await expect(page.locator("#beam-filter-hint")).to_have_text(
        "No session contains this text."
    )


async def test_times_are_in_the_browsers_zone_with_a_date_unless_today(
    browser: Browser, beam_server: Serve
) -> None:
    server = beam_server()
    _, page = await admin_of(browser, server, timezone_id=NEW_YORK, locale="en-US")
    # Noon in New York.
    noon = 1_794_416_400
    await page.clock.set_fixed_time(noon * 1000)
    sent = {"at": noon - 3_661, "event": "changed", "by": "key:billing"}
    answer = {"owners": {}, "closed": False, "sent": [sent]}
    members = present("ada", noon - 62) | present("bob", noon - DAY)
    fake = FakeServer(page, phx_join={"now": noon}, members=members, room=answer)
    await fake.start()
    await page.goto(room_page(server))
    await expect(sessions(page)).to_have_text(["bob:1", "ada:1"])
    fake.push("new_msg", {"from": {"session": "ada:1"}, "text": "hi"})

    since = page.locator("#beam-members time")
    await expect(since).to_have_text(["Nov 10, 12:00:00", "11:58:58"])
    await expect(page.locator("#beam-backend-events time")).to_have_text("10:58:59")
    await expect(page.locator("#beam-live-events time")).to_have_text("12:00:00")
    whole = await since.first.get_attribute("title")
    assert whole is not None
    assert "November 10, 2026" in whole
    assert "EST" in whole


async def test_an_admin_that_is_logged_out_is_asked_to_log_in(
    browser: Browser, beam_server: Serve
) -> None:
    server = beam_server()
    context, page = await admin_of(browser, server)
    await page.clock.install()
    await page.goto(room_page(server))
    status = page.locator("#beam-status")
    await expect(status).to_have_text("live")

    await context.clear_cookies()
    server.restart()

    await expect(status).to_have_text("You are logged out. Log in", timeout=20_000)
    await expect(status).to_have_attribute("data-state", "refused")
    where = page.url
    tried: list[str] = []
    page.on("websocket", lambda socket: tried.append(socket.url))
    await page.clock.fast_forward(60_000)
    assert await page.evaluate("document.readyState") == "complete"
    assert tried == []
    await page.get_by_role("link", name="Log in").click()
    await page.get_by_label("Username").fill("admin")
    assert await page.locator("[name=next]").input_value() in where


async def test_an_unreachable_server_is_not_taken_for_a_logout(
    browser: Browser, beam_server: Serve
) -> None:
    server = beam_server()
    _, page = await admin_of(browser, server)
    await page.goto(room_page(server))
    status = page.locator("#beam-status")
    await expect(status).to_have_text("live")
    tried: list[str] = []
    page.on("websocket", lambda socket: tried.append(socket.url))

    server.stop()
    # After three attempts the page checks its login.
    await until(lambda: len(tried) > 4, 30)
    await expect(status).to_have_text("reconnecting")

    server.start()
    await expect(status).to_have_text("live", timeout=20_000)


async def test_a_page_shows_why_its_join_is_refused(
    browser: Browser, beam_server: Serve
) -> None:
    server = beam_server()
    _, page = await admin_of(browser, server)
    address = room_page(server)
    status = page.locator("#beam-status")
    await page.clock.install()
    fake = FakeServer(page)
    await fake.start()

    async def refused(reason: str, text: str, state: str) -> int:
        """The number of connects before the page ends, or tries again."""
        fake.answers["phx_join"] = {"reason": reason}
        await page.goto(address)
        await expect(status).to_have_text(text)
        await expect(status).to_have_attribute("data-state", state)
        opened = fake.opened
        await page.clock.fast_forward(60_000)
        await expect(status).to_have_text(text)
        return opened

    for reason in ("unauthorized", "forbidden"):
        opened = await refused(reason, "permission denied", "refused")
        assert fake.opened == opened
    opened = await refused("unavailable", "Redis is unavailable", "reconnecting")
    await until(lambda: fake.opened > opened)


async def test_changes_that_others_make_to_a_room_are_shown(
    browser: Browser, beam_server: Serve
) -> None:
    server = beam_server()
    _, page = await admin_of(browser, server)
    await page.goto(room_page(server))
    await expect(page.locator("#beam-status")).to_have_text("live")
    badge = page.locator("#beam-room-state")
    await expect(badge).to_have_text("open")

    async def call(path: str, **body: Any) -> None:
        url = f"{server.url}/api/v1/{path}"
        (await http.post(url, json=body, headers=HEADERS)).raise_for_status()

    async with httpx.AsyncClient() as http:
        await call("rooms/lobby/close")
        await expect(badge).to_have_text("closed", timeout=8_000)
        await expect(badge).to_have_class("beam-state beam-closed")
        await expect(page.get_by_role("link", name="Open room")).to_be_visible()
        await expect(page.get_by_role("link", name="Close room")).to_be_hidden()

        await call("rooms/lobby/open")
        await expect(badge).to_have_text("open", timeout=8_000)
        await expect(page.get_by_role("link", name="Close room")).to_be_visible()

        for name in ("first", "second"):
            await call("push_room_event", room_id="lobby", event=name, payload={})
        lines = page.locator("#beam-backend-events .event")
        await expect(lines).to_have_text(["second", "first"], timeout=8_000)
        await expect(page.locator("#beam-backend-count")).to_contain_text("2 of")
        # The events that the page received itself are the same.
        await expect(page.locator("#beam-live-events .event").first).to_have_text(
            "second"
        )


async def test_pages_have_enough_contrast_and_named_columns(
    browser: Browser, beam_server: Serve
) -> None:
    server = beam_server()
    _, page = await admin_of(browser, server)
    await full(page, "ada").start()
    room = room_page(server)
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        for url in (room, f"{server.url}/admin/live/", f"{server.url}{LIST}"):
            await page.goto(url)
            if url != f"{server.url}{LIST}":
                await expect(page.locator(".beam-panel a").first).to_be_visible()
            assert await page.evaluate(LOW_CONTRAST) == [], f"{scheme} {url}"
            # Each column has a name for screen readers.
            heads = page.locator(".beam-panel th")
            for text in await heads.all_text_contents():
                assert text.strip()
            named = page.locator(".beam-panel th[scope=col]")
            assert await heads.count() == await named.count()


async def test_long_ids_fit_on_a_phone(browser: Browser, beam_server: Serve) -> None:
    server = beam_server()
    phone = {"width": 390, "height": 844}
    _, page = await admin_of(browser, server, viewport=phone)
    await full(page, LONG).start()
    room = room_page(server, LONG)
    for url in (
        room,
        room.replace("change", "close"),
        room.replace("change", "delete"),
        room.replace("change", "history"),
        room.replace("change", "remove") + f"?session={LONG}:1",
        f"{server.url}/admin/live/",
    ):
        await page.goto(url)
        await expect(page.locator("h1").last).to_be_visible()
        if url == room:
            await expect(sessions(page)).to_have_text([f"{LONG}:1"])
            await expect(page.locator("#beam-backend-events li")).to_have_count(1)
        if "live" in url:
            await expect(page.locator("#beam-busiest a")).to_have_text(LONG)
        assert await page.evaluate(TOO_WIDE) <= 0, url
