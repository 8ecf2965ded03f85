"""The examples of the README, and of the page about tokens, work when pasted."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from pytest_django.fixtures import Settings

from rooms.auth import jwt_tokens, verifier
from tests.conftest import Serve
from tests.docs.test_docs import blocks
from tests.journeys.test_server import event, join
from tests.processes import (
    NODE_FOLDER,
    ROOT,
    RedisServer,
    Server,
    find_node,
    free_port,
    wait_until,
)

README = "README.md"
PYTHON = ".venv/bin/python"
# The command and the file name for each program of docs/tokens.md.
RUNTIMES = {
    "js": ("node", "tokens.mjs"),
    "python": ("python3", "tokens.py"),
    "php": ("php", "tokens.php"),
    "ruby": ("ruby", "tokens.rb"),
    "go": ("go run", "tokens.go"),
}
AT_HAND = [
    name for name, (does, _) in RUNTIMES.items() if shutil.which(does.split()[0])
]
# Headers of a proxy that terminates TLS.
AS_PROXY = {
    "host": "beam.example.com",
    "x-forwarded-proto": "https",
    "origin": "https://beam.example.com",
    "referer": "https://beam.example.com/admin/login/",
}
SECRET = "a secret of thirty-two bytes or more"


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    """`hello.mjs` from the README, with its packages."""
    script = tmp_path / "hello.mjs"
    script.write_text(blocks(README, "js")[0])
    (tmp_path / "node_modules").symlink_to(NODE_FOLDER / "node_modules")
    return script


def environment(server: Server, **changes: str) -> dict[str, str]:
    """The variables that the README exports, for this server."""
    return (
        os.environ
        | {
            "USER_TOKEN": jwt_tokens.mint_user("ada", 60),
            "ROOM_TOKEN": jwt_tokens.mint_room("lobby", 60),
            "PORT": str(server.port),
        }
        | changes
    )


@pytest.mark.node
async def test_the_javascript_example_shows_a_message_by_itself(
    beam_server: Serve, hello: Path
) -> None:
    env = environment(beam_server())
    example = await asyncio.create_subprocess_exec(
        find_node(), str(hello), env=env, stdout=asyncio.subprocess.PIPE
    )
    assert example.stdout is not None

    printed = ""
    while "received:" not in printed or "[ 'ada:1', 'ada:2' ]" not in printed:
        line = await asyncio.wait_for(example.stdout.readline(), 20)
        assert line, printed
        printed += line.decode()

    example.kill()
    await example.wait()
    assert "text: 'hello from " in printed


@pytest.mark.node
async def test_the_javascript_example_talks_to_others(
    beam_server: Serve, hello: Path
) -> None:
    server = beam_server()
    bob = await join(server, "bob", "lobby")
    example = await asyncio.create_subprocess_exec(
        find_node(),
        str(hello),
        env=environment(server),
        stdout=asyncio.subprocess.DEVNULL,
    )

    received = await event(bob, "new_msg")

    example.kill()
    await example.wait()
    await bob.close()
    assert received["text"].startswith("hello from ")
    assert received["from"]["user_id"] == "ada"


@pytest.mark.node
@pytest.mark.parametrize(
    ("changes", "printed"),
    [
        ({"PORT": "1"}, "cannot connect to ws://127.0.0.1:1/socket: "),
        ({"SOCKET_URL": "ws://127.0.0.1:1/socket"}, "ECONNREFUSED: no server listens"),
        ({"USER_TOKEN": "no"}, "403: USER_TOKEN is refused, see the server's log"),
        (
            {"ROOM_TOKEN": jwt_tokens.mint_room("other", 3_600)},
            "is for room 'other', not for",
        ),
        ({"ROOM_TOKEN": ""}, "USER_TOKEN and ROOM_TOKEN must be set"),
    ],
)
async def test_the_javascript_example_reports_what_is_wrong(
    beam_server: Serve, hello: Path, changes: dict[str, str], printed: str
) -> None:
    env = environment(beam_server(), **changes)

    done = await asyncio.to_thread(
        subprocess.run,
        [find_node(), str(hello)],
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert done.returncode == 1
    assert printed in done.stderr


def test_the_shell_makes_the_tokens_of_the_example(settings: Settings) -> None:
    [block] = [one for one in blocks(README, "sh") if "USER_TOKEN" in one]
    lines = [line for line in block.splitlines() if line.startswith("export")]
    script = "\n".join([*lines, "echo $USER_TOKEN $ROOM_TOKEN"])

    done = subprocess.run(
        ["bash", "-ec", script.replace(PYTHON, sys.executable)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert len(lines) == 4
    assert [token.count(".") for token in done.stdout.split()] == [2, 2]


async def test_the_curl_example_reaches_a_room(beam_server: Serve) -> None:
    server = beam_server()
    bob = await join(server, "bob", "lobby")
    [command] = [block for block in blocks(README, "sh") if "curl" in block]
    command = command.replace("127.0.0.1:5000", f"127.0.0.1:{server.port}")

    done = await asyncio.to_thread(
        subprocess.run, ["bash", "-c", command], capture_output=True, timeout=20
    )

    assert done.returncode == 0
    assert (await event(bob, "new_msg")) == json.loads(
        '{"text": "The document changed"}'
    )
    await bob.close()


def production(folder: Path, redis: str, port: int) -> str:
    """The block about production, with the paths and URLs of this test."""
    [block] = [one for one in blocks(README, "sh") if "createsuperuser" in one]
    for pasted, here in (
        (PYTHON, sys.executable),
        ("postgres://beam:PASSWORD@127.0.0.1:5432/beam", f"sqlite:///{folder}/beam.db"),
        ("redis://127.0.0.1:6379/0", redis),
        ("createsuperuser", "createsuperuser --noinput"),
        ("--host 0.0.0.0 --port 5000", f"--host 127.0.0.1 --port {port}"),
        # So that signals reach the server and not the shell.
        (f"{sys.executable} manage.py beam_serve", "exec $0 manage.py beam_serve"),
    ):
        assert pasted in block
        block = block.replace(pasted, here)
    return block


@contextmanager
def running(script: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The script in a shell without variables of Beam in its environment."""
    admin = {"USERNAME": "root", "EMAIL": "root@beam.test", "PASSWORD": "correct-horse"}
    env = {f"DJANGO_SUPERUSER_{name}": value for name, value in admin.items()}
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["bash", "-ec", script, sys.executable],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **env},
            stdout=out,
            stderr=out,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.mark.redis
def test_the_production_block_serves(tmp_path: Path, shared_redis: RedisServer) -> None:
    port, log = free_port(), tmp_path / "log"
    url = f"http://127.0.0.1:{port}"

    def is_ready() -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"{url}/readyz", timeout=2).status_code == 200
        return False

    with running(production(tmp_path, shared_redis.url, port), log) as process:
        wait_until(is_ready, f"the block serves; see {log}", 90)
        login = f"{url}/admin/login/"
        page = httpx.get(login, headers=AS_PROXY)
        cookie = page.headers["set-cookie"].partition(";")[0]
        answer = httpx.post(
            login,
            headers=AS_PROXY | {"cookie": cookie},
            data={
                "username": "root",
                "password": "correct-horse",
                "csrfmiddlewaretoken": cookie.partition("=")[2],
            },
        )
        wait_until(lambda: "All 2 processes listen" in log.read_text(), "both listen")

    assert page.status_code == 200
    assert answer.status_code == 302, answer.text
    assert process.returncode == 0
    assert "WARNING" not in log.read_text()


@pytest.mark.parametrize("language", AT_HAND)
async def test_tokens_signed_in_other_languages_are_accepted(
    language: str, tmp_path: Path, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"token_secrets": (SECRET, "old" * 11)}
    command, name = RUNTIMES[language]
    program = tmp_path / name
    program.write_text(blocks("docs/tokens.md", language)[0])

    printed = await asyncio.to_thread(
        subprocess.check_output,
        [*command.split(), str(program)],
        env=os.environ | {"BEAM_TOKEN_SECRET": f"{SECRET}, {'old' * 11}"},
        text=True,
        timeout=60,
    )

    user, room = printed.split()
    ada = await verifier.identify(user)
    grant = await verifier.authorize(room, "lobby", ada)
    assert (ada.user_id, grant.room_id, grant.user_id) == ("ada", "lobby", "ada")
