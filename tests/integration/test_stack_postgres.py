"""The embedded PostgreSQL: its data, its doors, and what a kill leaves."""

import asyncio
import os
import signal
import stat
import subprocess
import sys

import asyncpg
import psutil
import pytest

from shiftwork.errors import StackError
from shiftwork.stack.postgres import EmbeddedPostgres
from shiftwork.stack.sockets import free_ports


async def fetch(url, query="SELECT 1"):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


@pytest.fixture
async def server(tmp_path):
    """A server of the test's own, not started."""
    server = EmbeddedPostgres(tmp_path / "postgres")
    yield server
    await server.stop()


@pytest.mark.parametrize("run", [1, 2])
async def test_each_test_gets_an_empty_database(database_url, run):
    """Without a database of their own, tests of the store would see each other's rows."""
    await fetch(database_url, "CREATE TABLE mine ()")


async def test_without_the_password_nobody_enters(tmp_path):
    """Any local user could read and change every project."""
    [port] = free_ports(1)
    server = EmbeddedPostgres(tmp_path / "postgres", port=port)
    await server.start()
    try:
        for host in ("127.0.0.1", str(server.socket)):
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(host=host, port=port, user="postgres", password="guess")
    finally:
        await server.stop()


async def test_it_listens_on_nothing_but_its_socket(postgres):
    """Any local user, and any sandbox that shares our network, could try passwords."""
    process = psutil.Process(postgres.pid)
    listening = [c for p in (process, *process.children()) for c in p.net_connections("inet")]
    assert listening == []
    assert stat.S_IMODE(postgres.socket.stat().st_mode) == 0o700
    [door] = [path for path in postgres.socket.iterdir() if path.is_socket()]
    assert door.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_another_user_does_not_even_reach_the_socket(postgres):
    """Whoever has an account on the machine would be one password away from every project."""
    url = postgres.url()
    door = next(path for path in postgres.socket.iterdir() if path.is_socket())
    become = "import os, socket; os.setgroups([]); os.setgid(65534); os.setuid(65534)"
    code = f"{become}; socket.socket(socket.AF_UNIX).connect({str(door)!r})"
    argv = [sys.executable, "-I", "-c", code]
    done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, check=False)
    assert "PermissionError" in done.stderr
    assert await fetch(url) == 1


async def test_a_half_made_cluster_is_made_again(server):
    """A kill during the first start would leave a folder that never works, or data that is not synced."""
    unfinished = server.folder / "cluster.new" / "data"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    await server.start()
    assert not unfinished.exists()
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        assert await fetch(server.url(), f"SHOW {name}") == "on"
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
    assert stat.S_IMODE((server.data.parent / "password").stat().st_mode) == 0o600


async def test_a_killed_server_starts_again_where_it_was(server):
    """A database that crashed would come back empty, elsewhere, or not at all."""
    await server.start()
    await fetch(server.url(), "CREATE TABLE kept AS SELECT 42 AS answer")
    url = server.url()
    os.kill(server.pid, signal.SIGKILL)
    assert await server.wait() == -signal.SIGKILL
    await server.start()
    assert await fetch(url, "SELECT answer FROM kept") == 42


async def test_a_server_that_still_runs_is_ended_first(server, tmp_path):
    """A server whose keeper was killed would hold the data for ever."""
    await server.start()
    await fetch(server.url(), "CREATE TABLE kept AS SELECT 42 AS answer")
    successor = EmbeddedPostgres(tmp_path / "postgres")
    await successor.start()
    try:
        assert await server.wait() == 0
        assert await fetch(successor.url(), "SELECT answer FROM kept") == 42
    finally:
        await successor.stop()


async def test_data_of_another_version_is_left_alone(server):
    """A new version would fail with PostgreSQL's own words, or worse, start."""
    data = server.data
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9\n")
    with pytest.raises(StackError, match="was made by PostgreSQL 9 and this is"):
        await server.start()


async def test_a_setting_that_is_wrong_is_told(tmp_path):
    """A server that can't start would say nothing."""
    server = EmbeddedPostgres(tmp_path / "postgres", options={"shared_buffers": "nonsense"})
    with pytest.raises(StackError, match=r"PostgreSQL does not start: .*shared_buffers"):
        await server.start()
    assert server.pid is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give up")
async def test_root_without_namespaces_uses_another_user(server, tmp_path, monkeypatch):
    """Containers forbid user namespaces: there, root could not run the stack at all."""
    await server.start()
    await fetch(server.url(), "CREATE TABLE kept AS SELECT 42 AS answer")
    await server.stop()
    forbidden = tmp_path / "bin" / "unshare"
    forbidden.parent.mkdir()
    forbidden.write_text("#!/bin/sh\nexit 1\n")
    forbidden.chmod(0o755)
    monkeypatch.setenv("PATH", f"{forbidden.parent}:{os.environ['PATH']}")
    successor = EmbeddedPostgres(tmp_path / "postgres")
    await successor.start()
    try:
        assert await fetch(successor.url(), "SELECT answer FROM kept") == 42
        assert successor.data.stat().st_uid != 0
    finally:
        await successor.stop()
    monkeypatch.undo()
    await server.start()
    assert await fetch(server.url(), "SELECT answer FROM kept") == 42
