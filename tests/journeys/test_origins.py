"""Pages of other origins in Chromium: a file, a sandboxed frame, another site."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from rooms.auth import jwt_tokens
from tests.conftest import Serve
from tests.processes import Server

pytestmark = pytest.mark.browser

OPEN = """url => new Promise(done => {
  const socket = new WebSocket(url);
  socket.onopen = () => done("open");
  socket.onerror = () => done("refused");
})"""
FRAME = '<iframe sandbox="allow-scripts" srcdoc="<p>framed</p>"></iframe>'


class Site(BaseHTTPRequestHandler):
    """A page of another origin."""

    def do_GET(self) -> None:
        """The page."""
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(FRAME)))
        self.end_headers()
        self.wfile.write(FRAME.encode())

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def site() -> Iterator[str]:
    """The URL of that page."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


async def opens(page: Page, server: Server) -> list[str]:
    """Whether a page can open a socket, and a sandboxed frame in it."""
    token = jwt_tokens.mint_user("ada", 60)
    url = f"{server.socket_url}/websocket?vsn=2.0.0&user_token={token}"
    frame = page.frames[-1]
    assert frame is not page.main_frame
    return [await one.evaluate(OPEN, url) for one in (page.main_frame, frame)]


@pytest.mark.parametrize(
    ("allowed", "of_a_file", "of_a_site"),
    [
        ("null", ["open", "open"], ["refused", "open"]),
        ("*", ["open", "open"], ["open", "open"]),
        ("http://*", ["refused", "refused"], ["open", "refused"]),
        ("https://other.example", ["refused", "refused"], ["refused", "refused"]),
    ],
)
async def test_pages_without_an_origin_connect_if_they_are_listed(
    browser: Browser,
    beam_server: Serve,
    site: str,
    tmp_path: Path,
    allowed: str,
    of_a_file: list[str],
    of_a_site: list[str],
) -> None:
    server = beam_server(BEAM_ALLOWED_ORIGINS=f"{allowed},file://other")
    file = tmp_path / "page.html"
    file.write_text(FRAME)
    page = await browser.new_page()

    await page.goto(file.as_uri())
    assert await opens(page, server) == of_a_file
    await page.goto(site)
    assert await opens(page, server) == of_a_site


async def test_a_page_cannot_call_the_api_and_the_answer_says_why(
    browser: Browser, beam_server: Serve, site: str
) -> None:
    server = beam_server()
    page = await browser.new_page()
    await page.goto(site)
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))

    failed = await page.evaluate(
        """url => fetch(url, {headers: {secret: "dev-secret"}})
          .then(() => "answered", () => "refused")""",
        f"{server.url}/api/v1/rooms",
    )

    assert failed == "refused"
    assert any("CORS" in error for error in errors)
