"""What a predecessor left on this host is found, waited for, and ended."""

import asyncio
import fcntl
import json
import os
import subprocess

import pytest
from process_support import living, marker, shell, token, tree

from shiftwork.runner.leftovers import end_leftovers, sweep_orphans, wait_until_gone
from shiftwork.runner.supervisor import run
from shiftwork.sandbox.choose import choose_sandbox


@pytest.fixture(scope="module")
def sandbox():
    return choose_sandbox()


async def test_a_live_predecessor_is_ended(sandbox, tmp_path):
    """Otherwise an attempt whose worker hangs would go on beside the new one."""
    word, ready = token(), asyncio.Event()
    spec = tree(word, tmp_path, lock_file=tmp_path / "agent.lock")
    run_of_a_zombie = asyncio.create_task(run(spec, sandbox=sandbox, on_line=lambda *_: ready.set()))
    await ready.wait()
    assert await end_leftovers(tmp_path) > 0
    assert living(word) == []
    assert (await run_of_a_zombie).signal == 9
    assert await end_leftovers(tmp_path) == 0


async def test_waiting_ends_with_the_predecessor(sandbox, tmp_path):
    """Otherwise a new attempt would wait for nothing, or not at all."""
    lock, ready = tmp_path / "agent.lock", asyncio.Event()
    spec = shell("echo; sleep 0.3", tmp_path, lock_file=lock)
    first = asyncio.create_task(run(spec, sandbox=sandbox, on_line=lambda *_: ready.set()))
    await ready.wait()
    assert not await wait_until_gone(lock, 0.05)
    assert await wait_until_gone(lock, 10)
    await first


BROKEN = ["", "{", "[]", '{"marker": 7}', "[" * 5000, '{"marker": "x", "worker": 99999999999999999999999}']


@pytest.mark.parametrize("content", BROKEN, ids=lambda content: content[:16])
async def test_a_broken_record_is_no_obstacle(tmp_path, content):
    """Otherwise a worker that died while it wrote its record would block the session for ever."""
    lock = tmp_path / "agent.lock"
    lock.write_text(content)
    assert await wait_until_gone(lock, 1)
    assert await end_leftovers(tmp_path) == 0
    assert await wait_until_gone(tmp_path / "no such.lock", 0)


def run_folder(tmp_path, name: str):
    folder = tmp_path / "project" / "runs" / name
    folder.mkdir(parents=True)
    return folder


def record(mark: str) -> str:
    """What a worker that is dead left."""
    return json.dumps({"marker": mark, "worker": 99_999_999, "born": 1.0})


def orphan(mark: str) -> subprocess.Popen:
    return subprocess.Popen(["sleep", token()], env={**os.environ, "SHIFTWORK_SANDBOX": mark})


@pytest.mark.parametrize("content", BROKEN, ids=lambda content: content[:16])
async def test_nothing_keeps_a_worker_from_sweeping(tmp_path, caplog, content):
    """Otherwise one strange file would keep a worker from starting, or hide what another run left."""
    (run_folder(tmp_path, "s1-a1") / "agent.lock").write_text(content)
    (run_folder(tmp_path, "s2-a1") / "agent.lock").mkdir()
    held = run_folder(tmp_path, "s3-a1") / "agent.lock"
    held.write_text(record(marker()))
    mark = marker()
    (run_folder(tmp_path, "s4-a1") / "steps.lock").write_text(record(mark))
    left = orphan(mark)
    with held.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert await sweep_orphans(tmp_path, 1.5) == 1
    assert left.wait(100) == -9
    assert "s3-a1" in caplog.text


async def test_only_locks_of_runs_are_looked_at(tmp_path):
    """Otherwise an agent could have any process killed by a file in its own folder, or a link to one."""
    mark = marker()
    bystander = orphan(mark)
    workspace = tmp_path / "project" / "workspaces" / "w" / "runs" / "x"
    workspace.mkdir(parents=True)
    for name in ("agent.lock", "uv.lock"):
        (workspace / name).write_text(record(mark))
    runs = run_folder(tmp_path, "s1-a1").parent
    (runs / "s1-a1" / "agent.lock").symlink_to(workspace / "agent.lock")
    (runs / "s2-a1").symlink_to(workspace)
    (tmp_path / "linked").symlink_to(tmp_path / "project")
    try:
        assert await sweep_orphans(tmp_path, 1) == 0
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait(100)
    assert not await end_leftovers(workspace.parent)


async def test_looking_makes_no_file(tmp_path):
    """Otherwise a lock that a program has just given up would be there again, and held by nobody."""
    assert await wait_until_gone(tmp_path / "index.lock", 0)
    assert list(tmp_path.iterdir()) == []
