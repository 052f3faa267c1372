"""Limits end the whole tree, and the result says which one was breached."""

import asyncio
import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from process_support import living, marker, shell, token, tree

from shiftwork.errors import InvalidInput
from shiftwork.runner import AgentConfig, LocalProcessRunner, ProcessRunnerConfig
from shiftwork.runner.leftovers import sweep_orphans
from shiftwork.runner.limits import Limits
from shiftwork.runner.spec import ProcessSpec
from shiftwork.runner.supervisor import run
from shiftwork.runner.tree import Sampler, Seen, Watch, delay_of_look, tree_of
from shiftwork.sandbox.choose import candidates, works


@pytest.fixture(params=candidates(), ids=lambda sandbox: sandbox.level)
def sandbox(request):
    if not works(request.param):
        pytest.skip(f"{request.param.level} does not work on this machine")
    return request.param


def python(code, cwd, **more):
    return ProcessSpec(
        (sys.executable, "-S", "-c", code), cwd, dict(os.environ), grace=0.2, timeout=100, **more
    )


FILES = "import os; held = [os.dup(1) for _ in range(100)]"
MEMORY = "import time; held = bytearray(b'x') * 150_000_000; time.sleep(100)"
MANY = (
    "import subprocess, time; held = [subprocess.Popen(['sleep', '9']) for _ in range(12)]; time.sleep(100)"
)
CASES = [
    (Limits(cpu_seconds=1), "while True: pass", "cpu_seconds of 1 "),
    (Limits(memory_mb=80), MEMORY, "memory_mb of 80 "),
    (Limits(processes=6), MANY, "processes of 6 "),
    (Limits(file_size_mb=0.1), "open('big', 'wb').write(b'x' * 1_000_000)", "file_size_mb of 0.1 "),
    (Limits(open_files=40), FILES, "open_files of 40 "),
]


@pytest.mark.parametrize(("limits", "code", "named"), CASES, ids=lambda value: str(value)[:24])
async def test_a_breach_ends_the_tree_and_is_named(sandbox, tmp_path, limits, code, named):
    """Otherwise an agent could take the machine, or be ended without a word on why."""
    result = await run(python(code, tmp_path, limits=limits), sandbox=sandbox)
    assert named in (result.breach or ""), result
    assert result.exit_status != 0
    assert not result.timed_out


def of_a_child(code: str) -> str:
    """A program whose child does this, and which goes on after that as if nothing had happened."""
    return f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {code!r}])"


async def test_cpu_time_of_a_child_counts_although_its_parent_goes_on(sandbox, tmp_path):
    """Otherwise a program could use any CPU time by giving it to one child after the other."""
    limits = Limits(cpu_seconds=1)
    result = await run(python(of_a_child("while True: pass"), tmp_path, limits=limits), sandbox=sandbox)
    assert "cpu_seconds of 1 " in (result.breach or ""), result


@pytest.mark.parametrize(
    ("interval", "cost", "fresh", "expected"),
    [
        (0.1, 0.0, False, 0.1),
        (0.1, 0.012, False, 0.4),
        (0.1, 9.0, False, 1.0),
        (5.0, 9.0, False, 5.0),
        (5.0, 9.0, True, 0.1),
    ],
)
def test_what_looks_cost_delays_them_within_bounds(interval, cost, fresh, expected):
    """Otherwise a fork bomb would make looks so rare that nobody saw it."""
    assert delay_of_look(interval, cost, fresh=fresh) == pytest.approx(expected)


async def test_a_look_is_not_put_off_by_those_who_come_and_go(tmp_path):
    """Otherwise many short programs would keep a long one from being held to its limits."""
    sampler, begun = Sampler(), time.monotonic()

    def watch() -> Watch:
        loop = asyncio.get_running_loop()
        return Watch(
            pid=os.getpid(),
            root=os.getpid(),
            limits=Limits(processes=1_000),
            stall_timeout=None,
            output=lambda: None,
            own_processes=0,
            breach=loop.create_future(),
            on_stall=lambda _: None,
        )

    first = watch()
    sampler.add(first)
    while not first.looked_at:
        other = watch()
        sampler.add(other)
        await asyncio.sleep(0.02)
        sampler.remove(other)
        assert time.monotonic() - begun < 60
    sampler.remove(first)


SPENDS = "import time\nwhile time.process_time() < 1.2: pass"
RESTS = "import time; time.sleep(0.6)"


async def test_what_ran_before_does_not_count(sandbox, tmp_path):
    """Otherwise an agent would be ended, or be shown to have worked, for what another one used."""
    before = await run(python(SPENDS, tmp_path), sandbox=sandbox)
    assert before.cpu_seconds > 1
    after = await run(python(RESTS, tmp_path, limits=Limits(cpu_seconds=1)), sandbox=sandbox)
    assert (after.exit_status, after.breach) == (0, None)
    assert after.cpu_seconds < 1


async def test_what_a_handle_shows_is_its_own(sandbox, tmp_path):
    """Otherwise the figures of an agent would hold what another one used."""
    commands = {"x": [sys.executable, "-S", "-c", "{task}"]}
    config = ProcessRunnerConfig(working_dir=tmp_path, commands=commands, sandbox=sandbox)
    async with LocalProcessRunner(config) as runner:
        await (await runner.spawn(AgentConfig("first", "x", SPENDS))).wait()
        handle = await runner.spawn(AgentConfig("second", "x", RESTS))
        await asyncio.sleep(0.3)
        assert handle.usage().cpu_seconds < 1
        await handle.wait()


DEAF = (
    "import signal, subprocess, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "held = [subprocess.Popen(['sleep', '250']) for _ in range(12)]; time.sleep(250)"
)


async def test_what_breaches_a_limit_has_little_grace(sandbox, tmp_path):
    """Otherwise a fork bomb would go on for as long as a well-meaning program is given to end."""
    spec = replace(python(DEAF, tmp_path, limits=Limits(processes=6)), grace=200.0, timeout=250)
    result = await run(spec, sandbox=sandbox)
    assert "processes of 6 " in (result.breach or ""), result
    assert result.duration < 150


def test_a_root_without_its_program_has_no_tree():
    """Otherwise what one keeper serves next would count for, and be ended for, what it served before."""
    seen = {pid: Seen(pid, parent, "R", 0.0, 0.0, 1) for pid, parent in ((5, 1), (6, 5), (7, 6), (8, 1))}
    assert [one.pid for one in tree_of(6, 5, seen) if one.state != "Z"] == [6, 7]
    assert tree_of(4, 5, seen) == []
    assert tree_of(6, 3, seen) == []


SAID = "import sys; print({!r}, file=sys.stderr); print('bye', file=sys.stderr); sys.exit(1)"


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(open_files=40), "Too many open files"),
        (Limits(file_size_mb=1), "File too large"),
        (Limits(processes=40), "sh: 1: Cannot fork"),
        (Limits(processes=40), "sh: fork: retry: Resource temporarily unavailable"),
    ],
    ids=lambda value: str(value)[:24],
)
async def test_a_breach_is_named_although_something_else_was_said_last(tmp_path, limits, words):
    """Otherwise nobody would know why an agent failed, or only as long as nobody read what it said."""
    spec = python(SAID.format(words), tmp_path, limits=limits)
    named = next(name for name in ("open_files", "file_size_mb", "processes") if getattr(limits, name))
    assert named in ((await run(spec, sandbox=candidates()[-1])).breach or "")
    config = ProcessRunnerConfig(
        working_dir=tmp_path, limits=limits, commands={"x": [*spec.argv[:-1], "{task}"]}
    )
    async with LocalProcessRunner(config) as runner:
        handle = await runner.spawn(AgentConfig("a", "x", spec.argv[-1]))
        async for lines in handle.batches("stderr"):
            assert lines
        await handle.wait()
        assert handle.error.limit == named


async def test_what_stays_within_its_limits_is_left_alone(sandbox, tmp_path):
    """Otherwise limits would end agents that keep them; what they used is told."""
    limits = Limits(cpu_seconds=20, memory_mb=500, processes=20, file_size_mb=5, open_files=64)
    spec = shell("ulimit -n; head -c 100000 /dev/zero > file; sleep 0.4", tmp_path, limits=limits)
    result = await run(spec, sandbox=sandbox)
    assert (result.exit_status, result.breach, result.stdout_tail) == (0, None, b"64\n")
    assert result.cpu_seconds > 0
    assert result.peak_memory_bytes > 0


async def test_one_that_does_nothing_is_ended(sandbox, tmp_path):
    """Otherwise an agent that hangs would hold its session until the timeout."""
    spec = shell("echo ready; sleep 100", tmp_path, stall_timeout=0.6, grace=0.2)
    result = await run(spec, sandbox=sandbox)
    assert result.stalled
    assert "0.6 seconds" in (result.breach or "")
    assert 0.5 < result.duration < 60


async def test_one_that_works_or_prints_is_not_stalled(sandbox, tmp_path):
    """Otherwise slow agents would be ended in the middle of their work."""
    spec = shell("for n in 1 2 3 4 5 6 7 8; do sleep 0.5; echo $n; done", tmp_path, stall_timeout=3)
    assert not (await run(spec, sandbox=sandbox)).stalled


@pytest.mark.parametrize("limits", [{"cpu_seconds": 0}, {"memory_mb": -1}, {"open_files": 3}])
def test_a_limit_that_makes_no_sense_is_refused(limits):
    """Otherwise a typing error would end every agent at its start."""
    with pytest.raises(InvalidInput, match=next(iter(limits))):
        Limits(**limits)


async def test_orphans_of_a_dead_worker_are_swept_and_others_are_not(sandbox, tmp_path):
    """Otherwise a restarted worker would leave its predecessor's agents, or end those of its neighbour."""
    word, ready, stop = token(), asyncio.Event(), asyncio.Event()
    runs = tmp_path / "project" / "runs"
    spec = tree(word, tmp_path, lock_file=runs / "s1-a1" / "agent.lock", grace=0.1)
    mine = asyncio.create_task(run(spec, sandbox=sandbox, stop=stop, on_line=lambda *_: ready.set()))
    await ready.wait()
    assert await sweep_orphans(tmp_path) == 0
    assert living(word)
    stop.set()
    await mine
    mark, dead = marker(), token()
    gone = subprocess.run(  # noqa: ASYNC221 - it ends at once
        [sys.executable, "-S", "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    (runs / "s1-a1" / "steps.lock").write_text(
        f'{{"marker": "{mark}", "worker": {int(gone.stdout)}, "born": 1.0}}'
    )
    left = subprocess.Popen(  # noqa: ASYNC220 - it is waited for below
        ["sleep", dead], env={**os.environ, "SHIFTWORK_SANDBOX": mark}, start_new_session=True
    )
    assert await sweep_orphans(tmp_path) == 1
    assert left.wait(100) == -9
