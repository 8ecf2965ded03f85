"""Somebody guesses passwords of the admin, many at once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter

import httpx
import psutil

from tests.conftest import Serve
from tests.processes import ROOT, Server

LOGIN = "/admin/login/"
PASSWORD = "a-password-of-tests"
GUESSES = 60
TRIES = 5


def create_admin(server: Server) -> None:
    """`root`, with `PASSWORD`."""
    command = ("createsuperuser", "--noinput", "--username", "root", "--email", "")
    subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env=os.environ | server.env | {"DJANGO_SUPERUSER_PASSWORD": PASSWORD},
        check=True,
    )


async def attempt(
    client: httpx.AsyncClient, password: str, address: str
) -> httpx.Response:
    """A login from an address, as a proxy names it."""
    form = {
        "username": "root",
        "password": password,
        "csrfmiddlewaretoken": client.cookies["beam_csrftoken"],
    }
    return await client.post(LOGIN, data=form, headers={"x-forwarded-for": address})


async def test_guesses_are_limited_and_take_one_core_at_most(
    beam_server: Serve,
) -> None:
    server = beam_server(BEAM_TRUSTED_PROXIES="1")
    create_admin(server)
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        await client.get(LOGIN)
        # From one address, all at once: not one more is checked than is allowed.
        asked = [attempt(client, f"wrong{n}", "6.6.6.6") for n in range(GUESSES)]
        found = Counter(answer.status_code for answer in await asyncio.gather(*asked))
        assert found.keys() == {200, 429}
        assert found[200] <= TRIES

        # From many addresses, all at once.
        began, before = time.monotonic(), sum(process.cpu_times()[:2])
        asked = [attempt(client, "wrong", f"7.7.7.{n}") for n in range(GUESSES)]
        answers = await asyncio.gather(*asked)
        spent = sum(process.cpu_times()[:2]) - before
        assert spent < (time.monotonic() - began) * 1.5
        assert {answer.status_code for answer in answers} <= {200, 429}
        # All that were refused say when to come again.
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused
        assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)

        # The admin comes from an address of its own.
        answer = await attempt(client, PASSWORD, "8.8.8.8")
        assert answer.status_code == 302
        assert (await client.get("/admin/")).status_code == 200
        metrics = await client.get("/metrics", headers={"secret": "dev-secret"})
        assert "beam_logins_limited_total" in metrics.text
        assert "beam_logins_failed_total" in metrics.text
    assert "Too many login attempts in the admin: 6.6.6.6" in server.text()
