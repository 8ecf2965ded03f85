"""Serves pages: the admin and the API's documentation, some at the same time.

Each page takes a thread and a database connection. Requests beyond
`max_concurrent_pages` wait for their turn, so the number of threads and connections
is bounded.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.exceptions import RequestAborted, SuspiciousOperation
from django.core.handlers.asgi import ASGIHandler
from django.db import close_old_connections
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from beam import database
from beam.config.conf import conf
from beam.telemetry import metrics
from beam.telemetry.logs import Flood

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 1_000
RETRY_SECONDS: Final = 5
BUSY: Final = "The server is busy. Try again in some seconds."
_flood = Flood()


class Turn:
    """A slot that one request holds; released once."""

    def __init__(self, slots: asyncio.Semaphore) -> None:
        self._slots: asyncio.Semaphore | None = slots

    def end(self) -> None:
        """Release the slot for the next request. Idempotent."""
        slots, self._slots = self._slots, None
        if slots is not None:
            slots.release()

    def before(self, send: Any) -> Any:
        """A `send` that ends the turn first, as the client may read slowly."""

        async def end_and_send(message: Any) -> None:
            self.end()
            await send(message)

        return end_and_send


@dataclass(frozen=True, slots=True)
class Received:
    """A `receive` for a request whose body was read before."""

    receive: Any
    body: Any

    async def __call__(self) -> Any:
        """The next message after the body."""
        return await self.receive()


class PageHandler(ASGIHandler):
    """Django's handler, for at most `max_concurrent_pages` requests at once."""

    def __init__(self) -> None:
        super().__init__()
        self._slots = asyncio.Semaphore(conf().max_concurrent_pages)
        self._waiting = 0

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request when its turn comes; 503 if too many wait already."""
        try:
            # Before the turn: a client may send slowly.
            body = await super().read_body(receive)
        except RequestAborted:
            return
        if self._waiting >= MAX_WAITING:
            body.close()
            await self.send_response(unavailable(BUSY), send)
            return
        turn = await self._take_turn()
        try:
            await super().handle(scope, Received(receive, body), turn.before(send))
        finally:
            # Django waits for the thread of a view whose client disconnected.
            turn.end()

    async def _take_turn(self) -> Turn:
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        return Turn(self._slots)

    async def read_body(self, receive: Any) -> Any:
        """The body that `handle` read."""
        return receive.body

    async def get_response_async(self, request: HttpRequest) -> Any:
        """The response. The database connection is closed before it is sent."""
        try:
            return await super().get_response_async(request)
        finally:
            await sync_to_async(close_old_connections)()


class StaticFiles(ASGIStaticFilesHandler):
    """Django's, which answers 404 to paths that lead out of its folders."""

    def serve(self, request: HttpRequest) -> Any:
        """The file. Raises `Http404`."""
        try:
            return super().serve(request)
        except SuspiciousOperation:
            # Django does not handle it: it would be a 500 with a traceback.
            raise Http404 from None


class DatabaseMiddleware(MiddlewareMixin):
    """Answers 503 in place of 500 if the database is unavailable or not migrated."""

    def process_exception(
        self, request: HttpRequest, error: Exception
    ) -> HttpResponse | None:
        """A page with 503 that says why; None for any other error."""
        if not database.is_unavailable(error):
            return None
        problem = database.described(error)
        if (missed := _flood.next(time.monotonic())) is not None:
            text = "The database is unavailable; pages get 503: %s (%d more before it)"
            logger.warning(text, problem, missed)
        return unavailable(f"The database is unavailable: {problem}.")


def unavailable(text: str) -> HttpResponse:
    """A page with 503, which is counted."""
    metrics.PAGES_UNAVAILABLE.value += 1
    return HttpResponse(
        text,
        "text/plain; charset=utf-8",
        503,
        headers={"Retry-After": str(RETRY_SECONDS)},
    )
