"""The supervisor: streams, bounds, stops, and how its caller can leave it."""

import asyncio
import hashlib
import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from process_support import living, shell, token, tree

from shiftwork.errors import Conflict, InvalidInput
from shiftwork.runner.spec import ProcessSpec
from shiftwork.runner.supervisor import run
from shiftwork.sandbox.choose import choose_sandbox


@pytest.fixture(scope="module")
def sandbox():
    return choose_sandbox()


async def lines_of(spec, sandbox):
    lines = []
    result = await run(spec, sandbox=sandbox, on_line=lambda name, line: lines.append((name, line)))
    return result, lines


async def test_streams_are_kept_apart_and_whole(sandbox, tmp_path):
    """Otherwise evidence would not say what a step printed, or its digest could not be compared."""
    result, lines = await lines_of(shell("echo a; echo b >&2; printf 'c\\nd'", tmp_path), sandbox)
    assert result.stdout_tail == b"a\nc\nd"
    assert result.stderr_tail == b"b\n"
    assert [line for name, line in lines if name == "stdout"] == [b"a", b"c", b"d"]
    assert [line for name, line in lines if name == "stderr"] == [b"b"]
    assert result.stdout.digest == hashlib.sha256(b"a\nc\nd").hexdigest()
    assert result.output_bytes == 7
    assert not result.truncated
    again = await run(shell("echo b >&2; echo a; printf 'c\\nd'", tmp_path), sandbox=sandbox)
    assert again.output_digest == result.output_digest


async def test_long_lines_are_cut_and_odd_bytes_pass(sandbox, tmp_path):
    """Otherwise one endless line, or one that is no text, would end the session or fill the memory."""
    command = "printf 'short\\n'; head -c 200000 /dev/zero; printf '\\n\\377\\376\\n\\n'; printf last"
    result, lines = await lines_of(shell(command, tmp_path, line_bytes=1000, keep_bytes=100), sandbox)
    assert [line for _, line in lines] == [b"short", b"\0" * 1000, b"\xff\xfe", b"", b"last"]
    assert len(result.stdout_tail) == 100
    assert result.output_bytes == 6 + 200_000 + 5 + 4
    assert result.truncated


async def test_standard_input_is_fed_and_closed(sandbox, tmp_path):
    """Otherwise an agent that reads its prompt from standard input would wait for ever."""
    data = bytes(range(256)) * 4000
    result = await run(shell("sha256sum", tmp_path, stdin=data, timeout=100), sandbox=sandbox)
    assert result.stdout_tail.split()[0].decode() == hashlib.sha256(data).hexdigest()
    empty = await run(shell("cat; echo end", tmp_path, timeout=100), sandbox=sandbox)
    assert empty.stdout_tail == b"end\n"


async def test_a_reader_that_goes_away_is_no_error(sandbox, tmp_path):
    """Otherwise an agent that ignores its prompt would crash the worker's activity."""
    result = await run(shell("exit 3", tmp_path, stdin=b"x" * 5_000_000), sandbox=sandbox)
    assert result.exit_status == 3


async def test_a_slow_listener_slows_the_process_and_loses_nothing(sandbox, tmp_path):
    """Otherwise a slow database would make the worker's memory grow, or lose parts of the transcript."""
    count = 0

    async def listen(_name, _line):
        nonlocal count
        count += 1
        if count % 5000 == 0:
            await asyncio.sleep(0.01)

    result = await run(shell(f"seq 1 {60_000}", tmp_path), sandbox=sandbox, on_line=listen)
    assert count == 60_000
    assert result.exit_status == 0


async def test_an_error_of_the_listener_ends_the_process(sandbox, tmp_path):
    """Otherwise an agent would work on although nobody can record what it does."""
    word = token()

    async def fail(*_):
        raise LookupError("the lease is lost")

    with pytest.raises(LookupError):
        await run(tree(word, tmp_path, grace=0.1), sandbox=sandbox, on_line=fail)
    assert living(word) == []


@pytest.mark.parametrize("cancels", [1, 2, 3])
async def test_cancelling_the_caller_ends_the_process(sandbox, tmp_path, cancels):
    """Otherwise a cancelled activity would leave its agent running, or take its grace time for granted."""
    word, ready = token(), asyncio.Event()
    grace = 0.1 if cancels == 1 else 30.0
    spec = tree(word, tmp_path, grace=grace)
    task = asyncio.create_task(run(spec, sandbox=sandbox, on_line=lambda *_: ready.set()))
    await ready.wait()
    for _ in range(cancels):
        task.cancel()
        await asyncio.sleep(0.02)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 100)
    assert living(word) == []


@pytest.mark.parametrize("delay", [0.0, 0.001, 0.003, 0.01])
async def test_cancelling_at_once(sandbox, tmp_path, delay):
    """Otherwise a process whose start and cancellation meet would be forgotten."""
    word = token()
    task = asyncio.create_task(run(tree(word, tmp_path, grace=0.05), sandbox=sandbox))
    await asyncio.sleep(delay)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert living(word) == []


def test_a_closing_event_loop_ends_the_process(sandbox, tmp_path):
    """Otherwise Ctrl-C in a program that uses the library would leave agents behind."""
    word = token()

    async def main():
        ready = asyncio.Event()
        background = asyncio.create_task(
            run(tree(word, tmp_path, grace=30), sandbox=sandbox, on_line=lambda *_: ready.set())
        )
        await ready.wait()
        background.cancel()
        await asyncio.sleep(0)  # it is in its grace time when the loop closes

    asyncio.run(main())
    assert living(word) == []


async def test_stop_before_the_start_counts(sandbox, tmp_path):
    """Otherwise a pause that comes first would be overlooked."""
    stop = asyncio.Event()
    stop.set()
    result = await run(shell("sleep 1000", tmp_path, grace=0.5), sandbox=sandbox, stop=stop)
    assert result.stopped


async def test_a_process_that_closes_its_output_goes_on(sandbox, tmp_path):
    """Otherwise a program that detaches from its output would count as ended."""
    command = "exec >&- 2>&-; sleep 0.2; exit 9"
    result, _ = await lines_of(shell(command, tmp_path), sandbox)
    assert result.exit_status == 9
    assert result.duration >= 0.2


async def test_descriptors_do_not_leak(sandbox, tmp_path):
    """Otherwise a worker would run out of descriptors after some hundred sessions."""
    await run(shell("cat", tmp_path, stdin=b"x"), sandbox=sandbox)
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(5):
        await run(shell("cat", tmp_path, stdin=b"x", lock_file=tmp_path / "l"), sandbox=sandbox)
    assert len(list(Path("/dev/fd").iterdir())) == before


async def test_what_can_not_be_started_is_said_in_a_sentence(sandbox, tmp_path):
    """Otherwise a missing program would look like an agent that failed."""
    with pytest.raises(InvalidInput, match="'no-such-program' was not found"):
        await run(ProcessSpec(("no-such-program",), tmp_path, {}), sandbox=sandbox)
    with pytest.raises(InvalidInput, match="does not exist"):
        await run(ProcessSpec(("true",), tmp_path / "none", {}), sandbox=sandbox)


async def test_a_relative_program_is_found_from_its_folder(sandbox, tmp_path):
    """Otherwise `./run-tests` in a workspace could not be an agent's command."""
    script = tmp_path / "hello there"
    script.write_text('#!/bin/sh\npwd; echo "$1"\n')
    script.chmod(0o755)
    result = await run(
        ProcessSpec(("./hello there", "$HOME 'x'"), tmp_path, dict(os.environ)), sandbox=sandbox
    )
    assert result.stdout_tail.decode() == f"{tmp_path}\n$HOME 'x'\n"


async def test_a_held_lock_refuses_a_second_run(sandbox, tmp_path):
    """Otherwise two attempts of one session would work at the same time."""
    lock, ready, stop = tmp_path / "agent.lock", asyncio.Event(), asyncio.Event()
    spec = shell("echo ready; sleep 1000", tmp_path, lock_file=lock)
    first = asyncio.create_task(run(spec, sandbox=sandbox, stop=stop, on_line=lambda *_: ready.set()))
    await ready.wait()
    with pytest.raises(Conflict, match="still holds"):
        await run(spec, sandbox=sandbox)
    stop.set()
    assert (await first).signal == signal.SIGTERM
    assert lock.read_bytes() == b""


async def test_many_at_once(sandbox, tmp_path):
    """Otherwise parallel sessions would mix up their statuses or their output."""
    specs = [shell(f"sleep 0.1; echo {n}; exit {n}", tmp_path) for n in range(20)]
    results = await asyncio.gather(*(run(spec, sandbox=sandbox) for spec in specs))
    assert [(n, f"{n}\n".encode()) for n in range(20)] == [(r.exit_status, r.stdout_tail) for r in results]


def test_a_flood_stays_within_bounds(tmp_path):
    """Otherwise an agent that prints hundreds of megabytes would take the worker's memory with it."""
    program = textwrap.dedent("""
        import asyncio, os, resource, sys
        from pathlib import Path
        from shiftwork.runner.supervisor import ProcessSpec, run
        from shiftwork.sandbox.choose import choose_sandbox
        async def main():
            seen = 0
            async def listen(name, line):
                nonlocal seen
                seen += len(line)
            peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            before = peak()
            lines = "yes 'a line of an ordinary length, about sixty bytes in all' | head -c 40000000 >&2"
            command = "head -c 200000000 /dev/zero; " + lines
            spec = ProcessSpec(("/bin/sh", "-c", command), Path("/"), dict(os.environ))
            result = await run(spec, sandbox=choose_sandbox(), on_line=listen)
            print(result.output_bytes, seen > 39000000, peak() - before)
        asyncio.run(main())
    """)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=100
    )
    length, heard, grown = done.stdout.split()
    assert (length, heard) == ("240000000", "True")
    unit = 1 if sys.platform == "linux" else 1024
    assert int(grown) < 30_000 * unit, "kilobytes (bytes on macOS)"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0
