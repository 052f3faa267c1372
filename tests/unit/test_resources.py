"""Limits of agents, what they use, and whether another may begin."""

import asyncio
import gc
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from shiftwork.errors import InvalidInput, NotFound
from shiftwork.resources import Machine, ResourceLimits, ResourceManager, ResourceUsage, Room, find_gpus
from shiftwork.sandbox.proc import LINUX
from tests.unit.pace_support import paces

ROOMY = ResourceLimits(max_cpu_percent=100)
"""Limits that no busy machine of a test violates."""

HUNGRY = "import time; held = bytearray(b'x') * 60_000_000; print('held', flush=True); time.sleep(60)"
BUSY = (
    "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(flush=True)\\nwhile True: pass'])"
)


@pytest.mark.parametrize(
    ("limits", "about"),
    [
        ({"max_memory_mb": 0}, "max_memory_mb is 0"),
        ({"max_memory_mb": float("nan")}, "max_memory_mb is nan"),
        ({"max_cpu_percent": 100.5}, "at most 100"),
        ({"max_cpu_percent": "50"}, "must be a number"),
        ({"max_concurrent_agents": 1.5}, "must be a whole number"),
        ({"max_concurrent_agents": True}, "must be a whole number"),
        ({"max_execution_time": None}, "max_execution_time is None"),
        ({"max_gpu_memory_mb": -1}, "more than 0"),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits, about):
    """If it failed, a slip of the pen would let no agent begin, or any number."""
    with pytest.raises(InvalidInput, match=about):
        ResourceLimits(**limits)


def test_the_runner_gets_the_same_limits():
    """If it failed, an agent that breaches its limits would not be ended."""
    limits = ResourceLimits(max_memory_mb=100, max_cpu_percent=25, max_execution_time=60).for_runner(cpus=4)
    assert (limits.memory_mb, limits.cpu_seconds) == (100, 60)


async def test_no_more_agents_begin_than_may():
    """If it failed, the limit of concurrent agents would be none."""
    manager = ResourceManager(replace(ROOMY, max_concurrent_agents=2))
    assert [await manager.acquire() for _ in range(3)] == [True, True, False]
    assert manager.get_usage().active_agents == 2
    await manager.release()
    assert await manager.acquire()


async def test_hundred_at_once_get_no_more_than_there_are():
    """If it failed, agents that ask at the same moment would share a slot, or a slot would be lost."""
    manager = ResourceManager(ROOMY)

    async def agent() -> bool:
        if not await manager.acquire():
            return False
        await asyncio.sleep(0.01)
        await manager.release()
        return True

    began = await asyncio.gather(*(agent() for _ in range(100)))
    assert (sum(began), manager.active_agents) == (5, 0)


async def test_threads_share_a_manager():
    """If it failed, two loops with one manager would lose count."""
    manager = ResourceManager(ROOMY)
    began = await asyncio.gather(*(asyncio.to_thread(manager.admit) for _ in range(20)))
    assert ([why for _, why in began].count(""), manager.active_agents) == (5, 5)


async def test_a_release_too_many_changes_nothing(caplog):
    """If it failed, a `finally` that releases twice would let more agents begin than may."""
    manager = ResourceManager(replace(ROOMY, max_concurrent_agents=1))
    await manager.release()
    assert "had not been let begin" in caplog.text
    assert [await manager.acquire() for _ in range(2)] == [True, False]


class BusyMachine(Machine):
    """A gigabyte is free, and all processors are used."""

    def __init__(self, root: Path) -> None:
        (root / "proc").mkdir()
        (root / "proc" / "meminfo").write_text("MemTotal: 2000000 kB\nMemAvailable: 1000000 kB\n")
        self._seconds = 0
        self._stat = root / "proc" / "stat"
        self._later()
        super().__init__(root, clock=self._later)

    def _later(self) -> float:
        self._seconds += 1
        self._stat.write_text(f"cpu 0\ncpu0 {100 * self._seconds} 0 0 100 0 0 0 0\n")
        return self._seconds


async def test_agents_that_just_began_are_reckoned_with(tmp_path):
    """If it failed, as many agents as ask at once would begin before the first has taken its memory."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 2000000 kB\nMemAvailable: 1000000 kB\n")
    manager = ResourceManager(ResourceLimits(max_memory_mb=400), machine=Machine(tmp_path))
    assert [manager.admit()[1] for _ in range(3)] == [
        "",
        "",
        "The limit max_memory_mb of 400 is violated: no more than 224 MB are free.",
    ]


def test_who_must_may_begin_on_a_busy_machine(tmp_path):
    """If it failed, what waits for a long build to end would wait for ever, or begin without memory."""
    manager = ResourceManager(ResourceLimits(max_memory_mb=400), machine=BusyMachine(tmp_path))
    assert "max_cpu_percent" in manager.admit()[1]
    assert [manager.admit(though_busy=True)[1] for _ in range(2)] == ["", ""]
    assert "max_memory_mb" in manager.admit(though_busy=True)[1]
    place, _ = manager.admit(anyway=True)
    assert place is not None
    assert manager.active_agents == 3
    manager.leave(place)
    manager.leave(place)
    assert manager.active_agents == 2


USAGE = ResourceUsage(memory_mb=100, memory_percent=10, cpu_percent=10, active_agents=1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({}, ""),
        ({"active_agents": 5}, ""),
        (
            {"active_agents": 6},
            "The limit max_concurrent_agents of 5 is violated: it would be 6 agents at once.",
        ),
        ({"memory_mb": 300}, "The limit max_memory_mb of 256 is violated: 300 MB are used."),
        ({"memory_mb": 9000, "room": Room(300)}, ""),
        ({"room": Room(100)}, "The limit max_memory_mb of 256 is violated: no more than 100 MB are free."),
        (
            {"cpu_percent": 60},
            "The limit max_cpu_percent of 50 is violated: 60 percent of the processors' time is used.",
        ),
        ({"gpu_memory_mb": 900}, "The limit max_gpu_memory_mb of 500 is violated: 900 MB are used on GPUs."),
        ({"gpu_memory_mb": 9000, "room": Room(300, 600)}, ""),
        (
            {"room": Room(300, 400)},
            "The limit max_gpu_memory_mb of 500 is violated: no more than 400 MB are free on GPUs.",
        ),
    ],
)
def test_a_violation_is_one_clear_sentence(change, sentence):
    """If it failed, people would not learn which limit was violated, or the wrong one."""
    manager = ResourceManager(ResourceLimits(max_gpu_memory_mb=500))
    assert manager.check_limits(replace(USAGE, **change)) == (not sentence, sentence)


def test_the_machine_is_measured():
    """If it failed, a person would be shown figures that mean nothing."""
    usage = ResourceManager().get_usage()
    assert usage.memory_mb > 0
    assert 0 < usage.memory_percent < 100
    assert 0 <= usage.cpu_percent <= 100
    assert usage.room is not None
    total = usage.memory_mb / usage.memory_percent * 100
    assert total == pytest.approx(usage.memory_mb + usage.room.memory_mb)


def started(code):
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    process.stdout.readline()
    return process


def ended(process):
    os.killpg(process.pid, 9)
    process.wait()
    process.stdout.close()


def test_an_agent_s_memory_is_seen():
    """If it failed, an agent that takes too much would not be told from one that does not."""
    manager, process = ResourceManager(ResourceLimits(max_memory_mb=50, max_cpu_percent=100)), started(HUNGRY)
    try:
        usage = manager.get_usage(process.pid)
        assert 60 < usage.memory_mb < 120
        assert manager.check_limits(usage)[1].startswith("The limit max_memory_mb of 50 is violated: ")
    finally:
        ended(process)


def test_the_cpu_time_of_an_agent_s_descendants_is_seen():
    """If it failed, an agent would hide what it uses in a process that it starts."""
    manager, process = ResourceManager(), started(BUSY)
    try:
        assert manager.get_usage(process.pid).cpu_percent == 0, "at the first look, nothing is known"
        time.sleep(0.5)
        assert manager.get_usage(process.pid).cpu_percent > 5
    finally:
        ended(process)
    with pytest.raises(NotFound, match="There is no process"):
        manager.get_usage(process.pid)


def test_a_look_is_quick():
    """If it failed, looking before each agent would cost more than it is worth."""
    manager = ResourceManager()
    assert paces(lambda: [manager.get_usage() for _ in range(100)]) < 20


@pytest.mark.parametrize("bindings", ["pynvml", "bindings_that_nobody_has"])
async def test_without_a_gpu_there_is_no_figure(bindings):
    """If it failed, a machine without GPUs, without their driver or its bindings could run no agents."""
    gpus = find_gpus(bindings)
    if gpus is not None:
        pytest.skip("this machine has a GPU")
    manager = ResourceManager(replace(ROOMY, max_gpu_memory_mb=1_000_000), gpus=lambda: find_gpus(bindings))
    assert manager.get_usage().gpu_memory_mb is None
    assert await manager.acquire()


HOLDS_GPU_MEMORY = """
import ctypes
cuda = ctypes.CDLL("libcuda.so.1")
context, device, place = ctypes.c_void_p(), ctypes.c_int(), ctypes.c_void_p()
assert cuda.cuInit(0) == 0 and cuda.cuDeviceGet(ctypes.byref(device), 0) == 0
assert cuda.cuCtxCreate_v2(ctypes.byref(context), 0, device) == 0
assert cuda.cuMemAlloc_v2(ctypes.byref(place), ctypes.c_size_t(2_000_000_000)) == 0
print("held", flush=True)
import time
time.sleep(60)
"""


def test_memory_on_a_gpu_is_seen():
    """If it failed, agents would begin where no GPU has room for their models."""
    gpus = find_gpus()
    if gpus is None:
        pytest.skip("this machine has no GPU")
    manager = ResourceManager(ResourceLimits(max_gpu_memory_mb=1000, max_cpu_percent=100))
    before = manager.get_usage()
    process = started(HOLDS_GPU_MEMORY)
    try:
        after, agent = manager.get_usage(), manager.get_usage(process.pid)
        assert after.gpu_memory_mb >= before.gpu_memory_mb + 2000
        assert after.room.gpu_memory_mb <= before.room.gpu_memory_mb
        # A driver may not tell of single processes, or number them as the host of a container does.
        assert agent.gpu_memory_mb in (None, 0) or agent.gpu_memory_mb >= 2000
        print(f"before {before}\nafter {after}\nagent {agent}")
    finally:
        ended(process)


@pytest.mark.skipif(not LINUX or os.geteuid() != 0, reason="makes a control group")
def test_the_kernel_s_own_group_is_seen():
    """If it failed, real groups would be laid out otherwise than our reader thinks."""
    top = next((Path(m.split()[4]) for m in mounts() if " - cgroup " in m and m.endswith("memory")), None)
    own = Path("/proc/self/cgroup").read_text()
    if top is None or "memory:/" not in own:
        pytest.skip("no memory controller of version 1")
    group = top / f"shiftwork-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("control groups can't be made here")
    try:
        (group / "memory.limit_in_bytes").write_text("500000000")
        code = "import sys; sys.stdin.readline(); from shiftwork.resources import ResourceManager as M; "
        code += "m = M(); print(m.get_usage().memory_percent, m.get_usage().room.memory_mb)"
        child = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        (group / "cgroup.procs").write_text(str(child.pid))
        percent, free = map(float, child.communicate("go\n", timeout=100)[0].split())
        assert 0 < percent < 60
        assert 200 < free < 500
    finally:
        gc.collect()
        group.rmdir()


def mounts():
    return Path("/proc/self/mountinfo").read_text().splitlines()


def test_psutil_sees_about_the_same():
    """If it failed, our figures would differ from those that people know."""
    ours, theirs = Machine().memory(), psutil.virtual_memory()
    if ours.total == theirs.total:
        assert ours.available == pytest.approx(theirs.available, rel=0.2)


def test_a_figure_that_is_not_known_violates_nothing():
    """Otherwise a check of what a person measured in part would end in an error of ours."""
    usage = ResourceUsage(memory_mb=None, memory_percent=None, cpu_percent=None, active_agents=1)
    assert ResourceManager().check_limits(usage) == (True, "")
