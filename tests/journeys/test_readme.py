"""The README's examples work when pasted."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path

import pytest

from rooms import tokens
from tests.conftest import Serve
from tests.docs.test_docs import readme_blocks
from tests.journeys.test_server import event, join
from tests.processes import NODE_FOLDER, find_node


@pytest.mark.node
async def test_the_javascript_example_talks_to_a_room(
    beam_server: Serve, tmp_path: Path
) -> None:
    server = beam_server()
    bob = await join(server, "bob", "lobby")
    [source] = readme_blocks("js")
    script = tmp_path / "hello.mjs"
    script.write_text(source)
    (tmp_path / "node_modules").symlink_to(NODE_FOLDER / "node_modules")
    example = await asyncio.create_subprocess_exec(
        find_node(),
        str(script),
        env=os.environ
        | {
            "USER_TOKEN": tokens.mint_user("ada", 60),
            "ROOM_TOKEN": tokens.mint_room("lobby", 60),
            "PORT": str(server.port),
        },
        stdout=asyncio.subprocess.PIPE,
    )
    assert example.stdout is not None

    heard = await event(bob, "new_msg")
    await bob.send('["1","9","room:lobby","new_msg",{"broadcast":true,"text":"hi"}]')
    printed = ""
    while "heard:" not in printed:
        printed += (await asyncio.wait_for(example.stdout.readline(), 10)).decode()

    example.kill()
    await example.wait()
    await bob.close()
    assert heard["text"] == "hello"
    assert heard["from"] == {"user_id": "ada", "session": "ada:1"}
    assert "'ada:1'" in printed
    assert "'bob:1'" in printed


async def test_the_curl_example_reaches_a_room(beam_server: Serve) -> None:
    server = beam_server()
    bob = await join(server, "bob", "lobby")
    [command] = [block for block in readme_blocks("sh") if "curl" in block]
    command = command.replace("127.0.0.1:5000", f"127.0.0.1:{server.port}")

    done = await asyncio.to_thread(
        subprocess.run, ["bash", "-c", command], capture_output=True, timeout=20
    )

    assert done.returncode == 0
    assert (await event(bob, "new_msg")) == json.loads(
        '{"text": "The document changed"}'
    )
    await bob.close()
