"""The admin's live pages as tests open them, and a fake server for their WebSocket."""

from __future__ import annotations

import json
import time
from typing import Any

from playwright.async_api import (
    Browser,
    BrowserContext,
    Page,
    WebSocketRoute,
)

from rooms.admin.time_series import SUMMED, interval_of
from rooms.monitoring.reporter import REPORT_SECONDS
from tests.journeys.test_admin import log_in, manage
from tests.processes import Server

DAY = 86_400
MAKE_ROOM = "from rooms.models import Room; print(Room.objects.create(room_id='{}').pk)"


class FakeServer:
    """Serves a page's WebSocket in place of Beam."""

    def __init__(self, page: Page, **answers: Any) -> None:
        """`answers`: bodies of replies by event; with `reason` it is an error."""
        self.answers = {"phx_join": {"now": time.time()}} | answers
        self.opened = 0
        self._page = page
        self._wire: WebSocketRoute | None = None
        self._topic = self._join_ref = ""

    async def start(self) -> None:
        """Serve the pages that are opened from now on."""
        await self._page.route_web_socket("**/admin/live/websocket*", self._open)

    def _open(self, wire: WebSocketRoute) -> None:
        self.opened += 1
        self._wire = wire
        wire.on_message(self._receive)

    def _receive(self, text: str | bytes) -> None:
        join_ref, ref, topic, event, _ = json.loads(text)
        if event == "phx_join":
            self._topic, self._join_ref = topic, join_ref
        body = self.answers.get(event, {})
        status = "error" if "reason" in body else "ok"
        reply = {"status": status, "response": body}
        self._write([join_ref, ref, topic, "phx_reply", reply])
        if event == "phx_join" and status == "ok" and "members" in self.answers:
            self.push("presence_state", self.answers["members"])

    def push(self, event: str, payload: Any) -> None:
        """Push an event to the page."""
        self._write([self._join_ref, None, self._topic, event, payload])

    def _write(self, message: list[Any]) -> None:
        assert self._wire is not None
        self._wire.send(json.dumps(message))

    async def end(self) -> None:
        """Close the page's WebSocket."""
        assert self._wire is not None
        await self._wire.close()


def present(name: str, at: float) -> dict[str, Any]:
    """The presence of one member."""
    meta = {"online_at": str(int(at)), "phx_ref": f"ref-{name}", "name": name}
    return {f"{name}:1": {"metas": [meta]}}


def crowd(count: int, at: float) -> dict[str, Any]:
    """The presence of many members, which joined one after the other."""
    found: dict[str, Any] = {}
    for n in range(count):
        found |= present(f"user{n:04}", at + n)
    return found


async def admin_of(
    browser: Browser, server: Server, **options: Any
) -> tuple[BrowserContext, Page]:
    """A page of an admin, in a browser context with these options."""
    password = manage(server, "beam_admin").split()[-1]
    window = {"viewport": {"width": 1280, "height": 900}} | options
    context = await browser.new_context(**window)
    return context, await log_in(context, server, "admin", password)


def room_page(server: Server, room_id: str = "lobby") -> str:
    """Create a room; the address of its page."""
    key = manage(server, "shell", "--no-imports", "-c", MAKE_ROOM.format(room_id))
    return f"{server.url}/admin/rooms/room/{key.strip()}/change/"


def point(at: float, **numbers: Any) -> dict[str, Any]:
    """A report of a process."""
    names = ("connections", "topics", "memory", "lag", "cpu", *SUMMED)
    who = {"process": "p1", "host": "vm", "pid": 7, "started": at - DAY}
    return {"at": at, **who, **dict.fromkeys(names, 1), **numbers}


def live_answer(at: float, **more: Any) -> dict[str, Any]:
    """The reply to the join of the live view."""
    step = interval_of(at, REPORT_SECONDS) - 1
    answer = {"steps": [], "next": step, "points": [point(at)], "warnings": []}
    return answer | {"now": at, "redis": True} | more


def warning(at: float, text: str) -> dict[str, Any]:
    """A warning of the live view."""
    return {"at": at, "level": "warning", "text": text}


def full(page: Page, name: str) -> FakeServer:
    """A server with a member, an event, a room and a warning of this name."""
    at = time.time()
    sent = {"at": at, "event": name, "by": f"key:{name}"}
    busy = {"room_id": name, "per_minute": 1, "sessions": 1, "users": 1}
    return FakeServer(
        page,
        phx_join=live_answer(at, warnings=[warning(at, name)]),
        members=present(name, at),
        room={"owners": {}, "closed": True, "sent": [sent]},
        top={"rooms": [busy]},
    )
