"""The supervisor, with small processes in place of servers."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from beam.server import server_process, supervisor
from beam.server.listening import listen
from beam.server.supervisor import Supervisor
from tests.clients import until

# In place of `manage.py`. Files in its folder, named `die N` and `hang N`, make
# process N fail at its start.
WORKER = """
import os, sys
from pathlib import Path

options = dict(zip(sys.argv[2::2], sys.argv[3::2]))
slot, control = options["--number"], int(options["--inherit"].split(",")[1])
here = Path(__file__).parent
with (here / "starts").open("a") as starts:
    starts.write(f"{slot} {os.getpid()}\\n")
if (here / f"die {slot}").exists():
    sys.exit(3)
try:
    (here / f"hang {slot}").unlink()
except FileNotFoundError:
    os.write(control, b"listening")
os.read(control, 1)
(here / "orphans").touch()
"""


class Supervised:
    """A supervisor of two of these processes."""

    def __init__(self, folder: Path, listening: socket.socket) -> None:
        self.folder = folder
        self.running = asyncio.create_task(Supervisor(2, listening, str(folder)).run())

    def pids(self, slot: int) -> list[int]:
        """The pids of all processes that were started in a slot, in order."""
        file = self.folder / "starts"
        lines = file.read_text().splitlines() if file.exists() else []
        starts = [tuple(map(int, line.split())) for line in lines]
        return [pid for number, pid in starts if number == slot]

    def children(self) -> set[int]:
        """The pids of the processes that run."""
        children = psutil.Process().children()
        return {c.pid for c in children if str(self.folder) in " ".join(c.cmdline())}


@pytest.fixture
async def supervised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Supervised]:
    """A running supervisor, stopped at the end by SIGINT."""
    caplog.set_level("INFO", "beam.server.supervisor")
    script = tmp_path / "manage.py"
    script.write_text(WORKER)
    monkeypatch.setattr(sys, "argv", [str(script)])
    with listen("127.0.0.1", 0) as listening:
        one = Supervised(tmp_path, listening)
        yield one
        if not one.running.done():
            os.kill(os.getpid(), signal.SIGINT)
        await one.running
    assert not (tmp_path / "orphans").exists()
    assert not one.children()


async def test_the_address_is_logged_once_and_then_that_all_processes_listen(
    supervised: Supervised, caplog: pytest.LogCaptureFixture
) -> None:
    await until(lambda: "All 2 processes listen" in caplog.text)

    assert caplog.text.count("Listening on http://127.0.0.1:") == 1


async def test_a_process_that_hangs_at_its_start_is_killed_and_started_again(
    supervised: Supervised,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(server_process, "START_SECONDS", 0.5)
    (supervised.folder / "hang 2").touch()

    await until(lambda: "Listening on" in caplog.text)

    assert "did not listen" not in caplog.text
    await until(lambda: "Process 2 was restarted" in caplog.text)
    hung, restarted = supervised.pids(2)
    assert f"Process 2 (pid {hung}) did not listen within 0.5 s: killed" in caplog.text
    assert "1 of 2 processes listen; not yet: 2" in caplog.text
    assert supervised.children() == {*supervised.pids(1), restarted}


async def test_the_supervisor_exits_with_1_if_no_process_can_start(
    supervised: Supervised, caplog: pytest.LogCaptureFixture
) -> None:
    for slot in (1, 2):
        (supervised.folder / f"die {slot}").touch()

    assert await supervised.running == 1
    assert "No server process could start" in caplog.text
    assert "Listening" not in caplog.text


async def test_the_supervisor_can_be_stopped_while_a_process_hangs(
    supervised: Supervised, caplog: pytest.LogCaptureFixture
) -> None:
    for slot in (1, 2):
        (supervised.folder / f"hang {slot}").touch()
    await until(lambda: len(supervised.children()) == 2)

    os.kill(os.getpid(), signal.SIGTERM)

    async with asyncio.timeout(5):
        assert await supervised.running == 0


async def test_a_slot_that_is_replaced_during_the_restart_delay_is_not_started_twice(
    supervised: Supervised,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_DELAY", 1.0)
    await until(lambda: "All 2 processes listen" in caplog.text)
    os.kill(supervised.pids(1)[0], signal.SIGKILL)
    await until(lambda: "restart in 1.0 s" in caplog.text)

    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: caplog.text.count("was replaced") == 2)

    # The delay has not ended: the slot is found taken after it.
    assert "was restarted" not in caplog.text
    os.kill(supervised.pids(1)[1], signal.SIGKILL)
    await until(lambda: "Process 1 was restarted" in caplog.text)
    assert len(supervised.pids(1)) == 3
    assert len(supervised.pids(2)) == 2
    assert supervised.children() == {supervised.pids(n)[-1] for n in (1, 2)}


async def test_a_process_that_cannot_be_started_is_tried_again(
    supervised: Supervised,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await until(lambda: "All 2 processes listen" in caplog.text)
    with monkeypatch.context() as patched:

        def refuse(*_: object, **__: object) -> None:
            raise BlockingIOError("no more processes")

        patched.setattr(asyncio, "create_subprocess_exec", refuse)
        os.kill(supervised.pids(1)[0], signal.SIGKILL)
        await until(lambda: "Process 1 cannot be started: no more" in caplog.text)

    await until(lambda: "Process 1 was restarted" in caplog.text)


async def test_a_replacement_that_hangs_leaves_the_old_process_running(
    supervised: Supervised,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await until(lambda: "All 2 processes listen" in caplog.text)
    before = supervised.children()
    monkeypatch.setattr(server_process, "START_SECONDS", 0.5)
    (supervised.folder / "hang 1").touch()

    os.kill(os.getpid(), signal.SIGHUP)

    await until(
        lambda: "The new process 1 does not start: the old one is kept" in caplog.text
    )
    await until(lambda: supervised.children() == before)
    assert "restart in" not in caplog.text
