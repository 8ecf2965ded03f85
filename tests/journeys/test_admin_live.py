"""The live view in Chromium."""

from __future__ import annotations

import time

import pytest
from playwright.async_api import (
    Browser,
    expect,
)

from tests.conftest import Serve
from tests.journeys.admin_pages import (
    FakeServer,
    admin_of,
    live_answer,
    point,
    room_page,
    warning,
)
from tests.processes import redis_server

pytestmark = pytest.mark.browser


async def test_the_live_view_uses_the_servers_clock(
    browser: Browser, beam_server: Serve
) -> None:
    server = beam_server()
    context, _ = await admin_of(browser, server)
    for skew in (45, -60):
        page = await context.new_page()
        at = time.time()
        await page.clock.install(time=at + skew)
        fake = FakeServer(page, phx_join=live_answer(at), top={"rooms": []})
        await fake.start()
        await page.goto(f"{server.url}/admin/live/")
        await expect(page.locator("#beam-status")).to_have_text("live")
        report = point(time.time(), members=42)
        fake.push("figures", {"point": report, "warnings": []})

        members = page.locator("[data-name=members] .value")
        await expect(members).to_have_text("42", timeout=15_000)
        await expect(page.locator("#beam-processes tr")).to_have_count(1)
        await expect(page.locator("#beam-processes")).to_contain_text("vm #7")


async def test_old_warnings_are_removed_and_missing_reports_are_shown(
    browser: Browser, beam_server: Serve
) -> None:
    server = beam_server()
    _, page = await admin_of(browser, server)
    at = time.time()
    await page.clock.install(time=at)
    first = [warning(at - 880, "an old one"), warning(at - 1_000, "too old")]
    answer = live_answer(at, warnings=first)
    fake = FakeServer(page, phx_join=answer, top={"rooms": []})
    await fake.start()
    await page.goto(f"{server.url}/admin/live/")
    status, lines = page.locator("#beam-status"), page.locator("#beam-warnings li")
    await expect(status).to_have_text("live")
    await expect(lines).to_have_count(1)
    await expect(lines).to_contain_text("an old one")

    for n in range(11):
        more = [warning(at + n, f"warning {n} {m}") for m in range(20)]
        fake.push("figures", {"point": point(at), "warnings": more})
    await expect(lines).to_have_count(200)
    await expect(lines.first).to_contain_text("warning 10 19")

    await page.clock.fast_forward(16_000)
    await expect(status).to_have_text("stale: no statistics received")
    await expect(status).to_have_attribute("data-state", "stale")
    await expect(page.locator("#beam-no-processes")).to_be_hidden()

    await page.clock.fast_forward(15 * 60_000)
    await expect(lines).to_have_count(0)
    await expect(page.locator("#beam-no-warnings")).to_contain_text("None")
    await expect(page.locator("#beam-no-processes")).to_be_visible()
    await expect(page.locator("[data-name=members] .value")).to_have_text("–")

    fake.push("figures", {"point": point(at + 60 * 16), "warnings": []})
    await page.clock.fast_forward(6_000)
    await expect(status).to_have_text("live")


@pytest.mark.redis
async def test_the_pages_report_that_redis_is_unavailable(
    browser: Browser, beam_server: Serve
) -> None:
    with redis_server() as store:
        server = beam_server("two processes", REDIS_URL=store.url)
        context, opened = await admin_of(browser, server)
        address = room_page(server)
        room = await context.new_page()
        await room.goto(address)
        await opened.goto(f"{server.url}/admin/live/")
        lines = opened.locator("#beam-processes tr")
        await expect(lines).to_have_count(2, timeout=30_000)

        store.kill()
        for page in (opened, room):
            status = page.locator("#beam-status")
            await expect(status).to_have_text("Redis is unavailable", timeout=20_000)
            await expect(status).to_have_attribute("data-state", "stale")
        new = await context.new_page()
        await new.goto(opened.url)
        await expect(new.locator("#beam-status")).to_have_text("Redis is unavailable")
        for name in ("processes", "busiest", "warnings"):
            empty = new.locator(f"#beam-no-{name}")
            await expect(empty).to_have_text("Redis is unavailable: no data.")

        store.start()
        for page in (opened, new, room):
            status = page.locator("#beam-status")
            await expect(status).to_have_text("live", timeout=30_000)
        for page in (opened, new):
            lines = page.locator("#beam-processes tr")
            await expect(lines).to_have_count(2, timeout=30_000)
