"""A program without a network asks a model, through a door in its sandbox."""

import asyncio
import os
import socket
import sys
import uuid
from pathlib import Path

import pytest

from shiftwork.errors import Conflict
from shiftwork.gateway import DoorClosed, Gateway, Policy, Upstream, Wire
from shiftwork.runner.environment import base_python
from shiftwork.sandbox.base import Launch
from shiftwork.sandbox.choose import best_sandbox
from shiftwork.sandbox.confinement import Bind, Confinement, Network
from tests.llm.server import LlmServer
from tests.unit.gateway_support import SECRET, says

PROGRAM = """
import http.client, json, os, sys
question = json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})
connection = http.client.HTTPConnection(sys.argv[1], timeout=100)
for stream in range(2):
    connection.request("POST", "/v1/messages", question, {"x-api-key": os.environ["TOKEN"]})
    answer = connection.getresponse()
    print(answer.status, json.loads(answer.read())["content"][0]["text"], flush=True)
other = http.client.HTTPConnection(sys.argv[2], timeout=2)
try:
    other.request("GET", "/")
    print("out")
except OSError as error:
    print("no way")
"""


async def test_a_program_without_a_network_asks_a_model(tmp_path):
    """If it failed, agents in a strict sandbox could not work at all, or could get out of it."""
    sandbox = best_sandbox()
    if not sandbox.own_network:
        pytest.skip("no sandbox with a network of its own works here")
    folder = tmp_path / "workspace"
    folder.mkdir()
    reading, writing = os.pipe()
    async with LlmServer(says()) as model, Gateway() as gateway, asyncio.timeout(100):
        policy = Policy(upstream=Upstream(Wire.ANTHROPIC, model.url, SECRET))
        async with gateway.open(policy, door=True) as session:
            places = session.url.removeprefix("http://"), model.url.removeprefix("http://")
            launch = Launch(
                argv=(str(base_python()), "-I", "-c", PROGRAM, *places),
                cwd=folder,
                env={"PATH": os.defpath, "TOKEN": session.token},
                marker=uuid.uuid4().hex,
                stdout=writing,
                stderr=writing,
                confinement=Confinement((Bind(folder, folder, writable=True),), network=Network.DOOR),
                door=session.door_fd,
            )
            held = sandbox.start(launch)
            try:
                os.close(writing)
                await session.listening()
                with pytest.raises(Conflict, match="used already"):
                    _ = session.door_fd
                await asyncio.shield(held.ended)
            finally:
                held.end()
                await held.ended
                held.close()
        printed = os.read(reading, 65536).decode()
        os.close(reading)
        assert printed == "200 hello\n200 hello\nno way\n"
        assert len(model.turns) == 2


@pytest.mark.parametrize("what", ["nothing", "a file", "no listener"])
async def test_what_comes_over_a_door_is_looked_at(what):
    """If it failed, a program could have the gateway serve, or hold, whatever it sends."""
    async with Gateway() as gateway, gateway.open(Policy(), door=True) as session, asyncio.timeout(100):
        with socket.socket(fileno=os.dup(session.door_fd)) as theirs, socket.socket() as other:
            given = {"nothing": [], "a file": [sys.stderr.fileno()], "no listener": [other.fileno()]}[what]
            socket.send_fds(theirs, [b"L"], given)
            with pytest.raises(DoorClosed):
                await session.listening()


async def test_a_session_without_a_door_has_none():
    """If it failed, a program could be started with somebody else's descriptor."""
    async with Gateway() as gateway, gateway.open(Policy()) as session:
        with pytest.raises(Conflict):
            _ = session.door_fd
    with pytest.raises(Conflict):
        gateway.open(Policy())


async def test_a_door_that_nobody_uses_is_closed():
    """If it failed, every failed start would leave descriptors behind."""
    before = set(Path("/dev/fd").iterdir())
    async with Gateway() as gateway:
        for _ in range(3):
            async with gateway.open(Policy(), door=True):
                pass
    assert len(set(Path("/dev/fd").iterdir()) - before) <= 1
