"""What a predecessor left on this host is found, waited for, and ended."""

import asyncio

import pytest
from process_support import living, shell, token, tree

from shiftwork.runner.leftovers import end_leftovers, wait_until_gone
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


@pytest.mark.parametrize("content", ["", "{", "[]", '{"marker": 7}'])
async def test_a_broken_record_is_no_obstacle(tmp_path, content):
    """Otherwise a worker that died while it wrote its record would block the session for ever."""
    lock = tmp_path / "agent.lock"
    lock.write_text(content)
    assert await wait_until_gone(lock, 1)
    assert await end_leftovers(tmp_path) == 0
    assert await wait_until_gone(tmp_path / "no such.lock", 0)
