"""`shiftwork dev` as a process: what it starts, keeps up, and leaves when it ends in any way."""

import asyncio
import base64
import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import replace
from pathlib import Path

import asyncpg
import psutil
import pytest

from client.api import Shiftwork
from shiftwork.codec.known import ring_secrets
from shiftwork.codec.sources import state_keys
from shiftwork.errors import InvalidInput, StackError
from shiftwork.settings import Settings
from shiftwork.stack.dev import DevStack
from shiftwork.stack.file import read_stack
from shiftwork.temporal import connect

DEV = """
import asyncio, sys
from pathlib import Path
from shiftwork.errors import StackError
from shiftwork.settings import Settings
from shiftwork.stack.dev import run_dev

worker = ["/bin/sh", "-c", "sleep 1000 & echo $$ $SHIFTWORK_STATE; wait"]
try:
    asyncio.run(run_dev(Settings(state=Path(sys.argv[1])), worker, lambda _: print("ready", flush=True)))
except StackError as error:
    sys.exit(str(error))
"""


class Dev:
    """A `run_dev` process and all that it started."""

    def __init__(self, state):
        self.settings = Settings(state=state)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", DEV, str(state)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ready(self):
        assert self.process.stdout.readline() == "ready\n", self.process.stderr.read()
        return self

    @property
    def stack(self):
        return read_stack(self.settings)

    def family(self):
        """Its children and theirs, by name of their program; the watchers, orphans by design, left out."""
        return {p.name(): p for p in psutil.Process(self.process.pid).children(recursive=True)}

    def end(self, sign):
        """End it with a signal; everything it had started, the watchers too."""
        family = [*self.family().values()]
        groups = {os.getpgid(p.pid) for p in family}
        members = [p for p in psutil.process_iter() if _group(p.pid) in groups] + family
        self.process.send_signal(sign)
        self.process.wait(100)
        deadline = time.monotonic() + 100
        while (left := [p for p in members if p.is_running()]) and time.monotonic() < deadline:
            time.sleep(0.02)  # psutil's own waiting polls ever more slowly
        return left

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(100)
        self.process.stdout.close()
        self.process.stderr.close()


def _group(pid):
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


@pytest.fixture
def start(tmp_path):
    """Start a stack in a state folder of the test; ended with the test."""
    started = []

    def start(name="state"):
        started.append(Dev(tmp_path / name))
        return started[-1]

    yield start
    for dev in started:
        dev.close()


async def query(dev, text):
    connection = await asyncpg.connect(dev.stack.database_url)
    try:
        return await connection.fetchval(text)
    finally:
        await connection.close()


async def namespace(dev):
    """The id of the namespace, from both of Temporal's doors: it tells one store from another."""
    client = await connect(dev.settings)
    await client.count_workflows()
    url = f"http://{dev.stack.temporal_http_address}/api/v1/namespaces/default"
    found = json.loads(get(urllib.request.Request(url, headers={"Host": dev.stack.temporal_http_host})))
    return found["namespaceInfo"]["id"]


def get(what):
    """As a browser that keeps cookies."""
    with urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(what) as response:
        return response.read()


async def eventually(check, seconds=150.0):
    """Wait until the check holds without an error."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await check()
        except (AssertionError, OSError, asyncpg.PostgresError, RuntimeError):
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.05)


def modes(folder):
    return {path.name: stat.S_IMODE(path.lstat().st_mode) for path in folder.iterdir()}


async def test_two_stacks_never_meet(start):
    """Two projects in two folders would share a database, fight over ports, or leave servers behind."""
    one, other = start("one"), start("other")
    stacks = one.ready().stack, other.ready().stack
    assert await query(one, "SELECT 1") == await query(other, "SELECT 1") == 1
    assert await namespace(one) != await namespace(other)
    assert b"<html" in get(stacks[0].temporal_ui)
    for field in (
        "database_url",
        "postgres_socket",
        "temporal_address",
        "temporal_http_address",
        "temporal_ui",
    ):
        assert getattr(stacks[0], field) != getattr(stacks[1], field)
    for dev, stack, sign in ((one, stacks[0], signal.SIGINT), (other, stacks[1], signal.SIGTERM)):
        assert {"postgres", "temporal", "sleep"} <= dev.family().keys()
        assert dev.end(sign) == []
        assert dev.process.returncode == 0
        assert not dev.settings.stack_file.exists()
        assert not Path(stack.postgres_socket).exists()


async def test_nobody_else_comes_in(start):
    """Passwords would be open to every local user, or two stacks on one folder would end each other."""
    dev = start().ready()
    state = dev.settings.state
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    found = modes(state) | modes(state / "postgres") | modes(state / "temporal") | modes(state / "logs")
    assert {name for name, mode in found.items() if mode & 0o077} == set()
    assert stat.S_IMODE(Path(dev.stack.postgres_socket).stat().st_mode) == 0o700
    second = start()
    assert second.process.wait(100) == 1
    assert f"(process {dev.process.pid})" in second.process.stderr.read()
    assert await query(dev, "SELECT 1") == 1


def test_a_loose_mask_opens_nothing(tmp_path):
    """In a state folder that others can read they could replace what the worker goes by."""
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(0o755)
    (state / "dev.lock").touch(0o666)
    argv = [sys.executable, "-P", "-m", "client", "dev", "--json"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SHIFTWORK_")}
    environ["SHIFTWORK_STATE"] = str(state)
    with subprocess.Popen(argv, env=environ, umask=0, stdout=subprocess.PIPE, text=True) as dev:
        try:
            assert json.loads(dev.stdout.readline())["state"] == str(state)
            log = state / "logs" / "worker.log"
            deadline = time.monotonic() + 100
            while "worker ready" not in log.read_text() and time.monotonic() < deadline:
                time.sleep(0.05)
            assert "worker ready" in log.read_text()
            assert {name for name, mode in modes(state).items() if mode & 0o077} == set()
        finally:
            dev.terminate()


async def test_it_listens_where_it_says_and_nowhere_else(start):
    """Anybody on the network, or any page in a person's browser, could reach a server of ours."""
    dev = start().ready()
    family = [psutil.Process(dev.process.pid), *dev.family().values()]
    listening, arguments = set(), []
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):  # a shell that PostgreSQL or Temporal asked something
            arguments += process.cmdline()
            listening |= {
                (*connection.laddr, process.name())
                for connection in process.net_connections("inet")
                if connection.status == psutil.CONN_LISTEN
            }
    assert all(host.startswith("127.") for host, *_ in listening)
    assert {name for *_, name in listening} == {"temporal", psutil.Process(dev.process.pid).name()}
    gate, port = dev.stack.ui_address.removeprefix("http://").split(":")
    assert (gate, int(port), psutil.Process(dev.process.pid).name()) in listening
    if sys.platform == "linux":
        assert len({host for host, *_ in listening}) == 3  # the gate and the Web UI have their own
        assert gate != "127.0.0.1"
    page = f"http://{dev.stack.temporal_http_address}/api/v1/namespaces"
    for host in ("evil.example", dev.stack.temporal_http_address, "localhost"):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            get(urllib.request.Request(page, headers={"Host": host}))
    with pytest.raises(urllib.error.HTTPError, match="401"):
        get(dev.stack.ui_address)
    assert dev.stack.codec_auth.removeprefix("Bearer ") not in " ".join(arguments)


async def test_the_web_ui_is_told_what_decodes(start):
    """A person would have to type an address and a token before a project can be read."""
    stack = start().ready().stack
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with opener.open(f"{stack.temporal_ui}/api/v1/settings") as response:
        codec = json.load(response)["Codec"]
    # Relative: the page asks its own origin, where the browser sends its cookie by itself.
    assert codec["Endpoint"] == urllib.parse.urlsplit(stack.codec_endpoint).path
    body = json.dumps({"payloads": [{"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "MQ=="}]}).encode()
    headers = {"Content-Type": "application/json", "Origin": stack.ui_address}
    request = urllib.request.Request(f"{stack.ui_address}{codec['Endpoint']}/decode", body, headers)
    with opener.open(request) as response:
        assert json.load(response)["payloads"][0]["data"] == "MQ=="


async def test_asked_to_end_while_it_starts_it_leaves_nothing(start):
    """Ctrl-C in the first second would leave a half-started stack."""
    dev = start()
    await eventually(lambda: _has(dev, "initdb"))
    assert dev.end(signal.SIGINT) == []
    assert dev.process.returncode == 0


async def _has(dev, name):
    assert name in dev.family()


async def test_killed_it_leaves_nothing_and_the_next_one_carries_on(start):
    """After kill -9 the next start would fail, meet leftovers, or find its data gone."""
    dev = start().ready()
    await query(dev, "CREATE TABLE kept AS SELECT 42 AS answer")
    before = await namespace(dev)
    assert dev.end(signal.SIGKILL) == []
    assert dev.stack is None
    dev = start().ready()
    assert await query(dev, "SELECT answer FROM kept") == 42
    dev.process.kill()  # and started again while the servers are still ending
    dev = start().ready()
    assert await query(dev, "SELECT answer FROM kept") == 42
    assert await namespace(dev) == before


async def test_each_child_that_is_killed_comes_back(start):
    """A crashed server or worker would stop every project until somebody looks."""
    dev = start().ready()
    stack = dev.stack
    await query(dev, "CREATE TABLE kept AS SELECT 42 AS answer")
    before = await namespace(dev)
    worker = next(p for p in psutil.Process(dev.process.pid).children() if p.name() == "sh")
    for victim in ("postgres", "temporal"):
        leader = next(p for p in psutil.Process(dev.process.pid).children() if p.name() == victim)
        leader.kill()
    worker.kill()

    async def back():
        assert await query(dev, "SELECT answer FROM kept") == 42
        assert await namespace(dev) == before
        log = (dev.settings.state / "logs" / "worker.log").read_text().splitlines()
        assert [line.split()[1] for line in log] == [str(dev.settings.state)] * 2

    await eventually(back)
    assert dev.stack == stack


async def test_the_servers_are_given_no_keys(tmp_path, monkeypatch):
    """Whoever gets into a server, or reads its core file, would have the keys of all models."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary-7Q2wXz9L")
    monkeypatch.setenv("SWORDFISH", "canary-7Q2wXz9L")
    async with DevStack(Settings(state=tmp_path / "state")):
        seen = []
        for each in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):  # what is asked in between
                seen.append((each.name(), each.environ()))
    servers = {"postgres", "temporal"}  # others are of what this process started before
    assert servers <= {name for name, _ in seen}
    assert all("PATH" in variables for name, variables in seen if name in servers and variables)
    assert not any("canary-7Q2wXz9L" in variables.values() for _, variables in seen)


async def test_it_says_how_it_encrypts(tmp_path, monkeypatch):
    """A shell with other keys would start projects that wait for ever, or none could after a rotation."""
    settings = Settings(state=tmp_path / "state")
    async with DevStack(settings):
        assert read_stack(settings).codec_key_ids == (before := state_keys(settings).ring().ids)
        ring = state_keys(settings).rotate()
        await connect(settings)
        assert read_stack(settings).codec_key_ids == ring.ids == (ring.active.id, *before)
        text = settings.stack_file.read_text()
        assert not any(secret.reveal() in text for secret in ring_secrets(ring))
        monkeypatch.setenv("OTHERS", f"mine:{base64.b64encode(bytes(32)).decode()}")
        for others in (replace(settings, codec_keys="env:OTHERS"), replace(settings, codec=False)):
            with pytest.raises(InvalidInput, match=r"^The stack in .* encrypts "):
                await connect(others)
            async with Shiftwork(others) as shiftwork:
                with pytest.raises(InvalidInput, match=r"^The stack in .* encrypts "):
                    await shiftwork.create("p", "x", repository=tmp_path / "repository")
                async with shiftwork.store.transaction() as tx:
                    assert (await tx.projects.readable())[0] == []
        assert not (tmp_path / "repository").exists()


async def test_what_is_elsewhere_is_not_started(tmp_path):
    """An external database or Temporal would be shadowed by an empty one."""
    settings = Settings(state=tmp_path, database_url="postgresql://elsewhere/db")
    async with DevStack(settings, environ={"TEMPORAL_ADDRESS": "elsewhere:7233"}) as stack:
        assert stack.database_url == "postgresql://elsewhere/db"
        assert (stack.temporal_address, stack.postgres_socket) == (None, None)
        assert read_stack(settings) == stack
    assert read_stack(settings) is None


async def test_a_port_that_is_taken_is_told_and_nothing_stays(tmp_path):
    """A fixed port in use would end in a traceback, and leave the other server running."""
    before = psutil.Process().children()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(state=tmp_path, postgres_port=taken.getsockname()[1])
        with pytest.raises(
            StackError, match=r"PostgreSQL does not start: .*could not create any TCP/IP sockets"
        ):
            async with DevStack(settings, environ={}):
                pass
    assert read_stack(settings) is None
    assert psutil.Process().children() == before
