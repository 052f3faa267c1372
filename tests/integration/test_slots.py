"""Workers that take tasks as their host has room, on a real Temporal server."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.worker import FixedSizeSlotSupplier, SlotReleaseContext, Worker, WorkerTuner

from activities.queue import is_alone, oldest_waiting
from activities.slots import WAITING, Permit, ProcessSlots
from shiftwork.resources import ResourceLimits, ResourceManager
from tests.integration.slots_worker import Agent
from tests.unit.pace_support import known_work

ROOT = Path(__file__).parents[2]
LOADED = {"SHIFTWORK_FREE_MEMORY_MB": "900000000"}
"""No host has so much: one that asks for it counts as loaded."""
FREE = {"SHIFTWORK_MAX_CPU_PERCENT": "100", "SHIFTWORK_FREE_MEMORY_MB": "1"}


@workflow.defn(name="Crowd", sandboxed=False)
class Crowd:
    """So many agents at once, and where they ran."""

    @workflow.run
    async def run(self, queue: str, count: int, seconds: float, together: int) -> list[str]:
        return await asyncio.gather(
            *(
                workflow.execute_activity(
                    "run",
                    args=[seconds, together],
                    task_queue=queue,
                    start_to_close_timeout=timedelta(seconds=60),
                    heartbeat_timeout=timedelta(seconds=2),
                    retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=100)),
                    result_type=str,
                )
                for _ in range(count)
            )
        )


class Desk:
    """A queue of a test's own, on which to start workers and agents."""

    def __init__(self, client: Client, address: str, folder: Path) -> None:
        self.client = client
        self.queue = f"slots-{uuid.uuid4().hex}"
        self._address = address
        self._folder = folder

    @contextmanager
    def worker(self, name: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
        """A worker in a process of its own, ready."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("SHIFTWORK_", "TEMPORAL_"))}
        log = self._folder / f"{name}.log"
        with log.open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.slots_worker", self._address, self.queue, name],
                cwd=ROOT,
                env={**inherited, **settings},
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        try:
            until(lambda: "ready" in self.log(name), process)
            yield process
        finally:
            process.kill()
            process.wait()

    def log(self, name: str) -> str:
        """What a worker said."""
        return (self._folder / f"{name}.log").read_text()

    async def agents(self, count: int, seconds: float, *, together: int = 0) -> list[str]:
        """The workers that ran so many, each for these seconds, or until so many run at once there."""
        arguments = [self.queue, count, seconds, together]
        name = f"crowd-{uuid.uuid4().hex}"
        return await self.client.execute_workflow(
            "Crowd", args=arguments, id=name, task_queue=f"{self.queue}-crowd", result_type=list[str]
        )


def until(condition, process, seconds=150.0):
    """Wait for it, as long as the process lives."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
async def desk(temporal, tmp_path) -> AsyncIterator[Desk]:
    """See `Desk`; its workflows run here."""
    client = await Client.connect(temporal.address)
    desk = Desk(client, temporal.address, tmp_path)
    async with Worker(client, task_queue=f"{desk.queue}-crowd", workflows=[Crowd]):
        yield desk


async def test_a_loaded_host_takes_none_and_another_all(desk):
    """If it failed, agents would begin on a host without memory for them, and be killed there."""
    with desk.worker("loaded", **LOADED), desk.worker("free", **FREE):
        assert await desk.agents(20, 0.1) == ["free"] * 20
    assert "no task is taken here while this lasts: The limit max_memory_mb" in desk.log("loaded")
    assert "Error in" not in desk.log("free")


async def test_no_more_run_at_once_than_there_are_slots(desk):
    """If it failed, `SHIFTWORK_PROCESS_SLOTS` would limit nothing, or slots would get lost."""
    with desk.worker("one", **FREE, SHIFTWORK_PROCESS_SLOTS="2"):
        for _ in range(2):
            began = time.monotonic()
            await desk.agents(4, 0.5)
            assert time.monotonic() - began >= 1.0


async def test_a_loaded_host_takes_what_nobody_else_does(desk):
    """If it failed, a project whose only host is loaded by others would stand still, with no word why."""
    with desk.worker("loaded", **LOADED):
        assert await desk.agents(2, 0.1) == ["loaded"] * 2
    assert "because nobody else takes it, and nothing runs here" in desk.log("loaded")


async def test_the_slots_of_a_lost_worker_come_back(desk):
    """If it failed, each worker that is killed would leave its host with fewer slots."""
    settings = {**FREE, "SHIFTWORK_PROCESS_SLOTS": "3"}
    with desk.worker("first", **settings) as first:
        crowd = asyncio.create_task(desk.agents(3, 2.0))
        waiting = oldest_waiting(desk.client, desk.queue)
        await asyncio.sleep(1.0)
        assert await waiting() < 1
        first.send_signal(signal.SIGKILL)
        first.wait()
        with desk.worker("second", **settings):
            assert await crowd == ["second"] * 3
            assert await desk.agents(3, 30.0, together=3) == ["second"] * 3


async def test_a_stopped_worker_gives_all_slots_back(desk):
    """If it failed, a permit would be lost each time that a worker stops while it waits for a task."""
    manager = ResourceManager(ResourceLimits(max_memory_mb=1, max_cpu_percent=100))
    slots = ProcessSlots(manager, waiting=oldest_waiting(desk.client, desk.queue))
    for _ in range(3):
        async with supplied(desk, slots):
            assert await desk.agents(3, 0.1) == ["here"] * 3
            assert manager.active_agents <= WAITING
        assert manager.active_agents == 0


def supplied(desk, slots):
    one = FixedSizeSlotSupplier(1)
    tuner = WorkerTuner.create_composite(
        workflow_supplier=one, activity_supplier=slots, local_activity_supplier=one, nexus_supplier=one
    )
    return Worker(desk.client, task_queue=desk.queue, activities=[Agent("here").run], tuner=tuner)


async def test_a_task_does_not_wait_for_processors_for_ever(desk):
    """If it failed, a long build of one project would hold up all others on the same host."""
    manager = ResourceManager(ResourceLimits(max_memory_mb=1, max_cpu_percent=0.0001))
    waiting = oldest_waiting(desk.client, desk.queue)
    slots = ProcessSlots(manager, waiting=waiting, patience=0.2, busy_patience=0.5)
    async with supplied(desk, slots):
        assert await desk.agents(2, 30.0, together=2) == ["here"] * 2, "one began while the other ran"


async def test_who_is_alone_does_not_wait_for_processors(desk):
    """If it failed, a single machine would idle between the steps of a project because it is busy."""
    manager = ResourceManager(ResourceLimits(max_memory_mb=1, max_cpu_percent=0.0001))
    waiting, alone = oldest_waiting(desk.client, desk.queue), is_alone(desk.client, desk.queue)
    slots = ProcessSlots(manager, waiting=waiting, alone=alone, patience=100, busy_patience=100)
    async with supplied(desk, slots):
        assert await alone()
        began = time.monotonic()
        assert await desk.agents(4, 1.0) == ["here"] * 4
        assert time.monotonic() - began < 80


async def test_a_forgotten_permit_comes_back(desk):
    """If it failed, a permit that a stopping worker never saw would be held for ever."""
    manager = ResourceManager(ResourceLimits(max_memory_mb=1, max_cpu_percent=100, max_concurrent_agents=1))
    slots = ProcessSlots(manager, waiting=oldest_waiting(desk.client, desk.queue))
    permit = slots.try_reserve_slot(None)
    assert isinstance(permit, Permit)
    assert slots.try_reserve_slot(None) is None
    del permit
    assert isinstance(slots.try_reserve_slot(None), Permit)


async def test_handing_out_a_slot_takes_no_time(desk):
    """If it failed, each agent would begin later for our looking at the host."""
    manager = ResourceManager(ResourceLimits(max_memory_mb=1, max_cpu_percent=100))
    slots = ProcessSlots(manager, waiting=oldest_waiting(desk.client, desk.queue))
    took = []
    for _ in range(100):
        began = time.perf_counter()
        permit = await slots.reserve_slot(None)
        took.append(time.perf_counter() - began)
        slots.release_slot(SlotReleaseContext(None, permit))
    # The least: one that waits for anything would always.
    assert min(took) < known_work(time.perf_counter) / 2
