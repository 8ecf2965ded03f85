"""An attacker sends many login attempts to the admin at once."""

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
ATTEMPTS = 60
ALLOWED = 5


def create_admin(server: Server) -> None:
    """Create the admin `root` with `PASSWORD`."""
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
    """A login attempt whose client IP a proxy reports."""
    form = {
        "username": "root",
        "password": password,
        "csrfmiddlewaretoken": client.cookies["beam_csrftoken"],
    }
    return await client.post(LOGIN, data=form, headers={"x-forwarded-for": address})


async def test_login_attempts_are_limited_and_use_at_most_one_core(
    beam_server: Serve,
) -> None:
    server = beam_server(BEAM_TRUSTED_PROXIES="1")
    create_admin(server)
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        await client.get(LOGIN)
        # From one address at once: no password above the limit is checked.
        asked = [attempt(client, f"wrong{n}", "6.6.6.6") for n in range(ATTEMPTS)]
        found = Counter(answer.status_code for answer in await asyncio.gather(*asked))
        assert found.keys() == {200, 429}
        assert found[200] <= ALLOWED

        # From many addresses at once.
        began, before = time.monotonic(), sum(process.cpu_times()[:2])
        asked = [attempt(client, "wrong", f"7.7.7.{n}") for n in range(ATTEMPTS)]
        answers = await asyncio.gather(*asked)
        spent = sum(process.cpu_times()[:2]) - before
        assert spent < (time.monotonic() - began) * 1.5
        assert {answer.status_code for answer in answers} <= {200, 429}
        # Each refusal has a Retry-After.
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused
        assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)

        # The admin logs in from another address.
        answer = await attempt(client, PASSWORD, "8.8.8.8")
        assert answer.status_code == 302
        assert (await client.get("/admin/")).status_code == 200
        metrics = await client.get("/metrics", headers={"secret": "dev-secret"})
        assert "beam_logins_limited_total" in metrics.text
        assert "beam_logins_failed_total" in metrics.text
    assert "Too many login attempts in the admin, from 6.6.6.6" in server.text()
