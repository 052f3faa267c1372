"""Tasks whose worker is killed or stopped while they run."""

import asyncio

import pytest

from shiftwork.contracts.agent import AgentConfiguration
from shiftwork.contracts.task import TaskErrorKind, TaskStatus
from shiftwork.errors import Conflict, StackError
from shiftwork.store.agents import AgentDefinition
from shiftwork.store.task_rows import TaskRow
from tests.e2e.lab import Lab
from tests.e2e.support import WorkerProcess, processes_of

WAITS_ONCE = """
import time
runs = handoff.state["runs"] if handoff else 0
print("began", runs, flush=True)
time.sleep(parameters["seconds"])
save_handoff(state={"runs": runs + 1})
"""


async def started(lab: Lab, name: str, *, seconds: float, retries: int = 2) -> TaskRow:
    config = AgentConfiguration(parameters={"seconds": seconds}, retries=retries)
    definition = AgentDefinition(kind="python", code=WAITS_ONCE, config=config)
    agent = await lab.shiftwork.register_agent(name, definition)
    task = await lab.shiftwork.run_agent(agent.id)
    async with asyncio.timeout(150):
        while (await lab.shiftwork.task(task.id)).status is not TaskStatus.RUNNING:  # noqa: ASYNC110 - rows
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.5)
    return task


async def test_a_task_of_a_killed_worker_is_begun_anew(lab: Lab, shared_worker: WorkerProcess) -> None:
    """If it failed, a crash of a worker would lose a run, or leave two results of it."""
    task = await started(lab, "killed", seconds=2)
    shared_worker.kill()
    shared_worker.start()
    ended = await lab.shiftwork.wait_task(task.id)
    assert (ended.status, ended.result) == (TaskStatus.COMPLETED, "began 0\n")
    assert ended.attempt >= 2
    async with lab.shiftwork.store.transaction() as tx:
        assert len(await tx.handoffs.history(task.agent_id or 0)) == 1
    assert processes_of(lab.settings.state) == []


async def test_a_stopped_worker_gives_its_tasks_back(lab: Lab, shared_worker: WorkerProcess) -> None:
    """If it failed, a deploy would cost an agent one of its tries, or keep the worker from ending."""
    task = await started(lab, "stopped", seconds=3, retries=0)
    assert await asyncio.to_thread(shared_worker.stop) == 0
    assert (await lab.shiftwork.task(task.id)).status is TaskStatus.RUNNING
    shared_worker.start()
    ended = await lab.shiftwork.wait_task(task.id)
    assert (ended.status, ended.error) == (TaskStatus.COMPLETED, None)
    assert ended.attempt >= 2
    assert ended.trace["worker_stops"] >= 1


async def test_a_task_that_costs_its_workers_is_given_up(lab: Lab, shared_worker: WorkerProcess) -> None:
    """If it failed, an agent that ends every worker would be begun for ever."""
    task = await started(lab, "costly", seconds=60, retries=0)
    shared_worker.kill()
    shared_worker.start()
    ended = await lab.shiftwork.wait_task(task.id)
    assert (ended.status, ended.error_kind) == (TaskStatus.FAILED, TaskErrorKind.LOST)
    assert ended.error == "1 of its workers were lost; the task is not begun again."


async def test_a_task_is_cancelled_while_no_worker_is_there(lab: Lab, shared_worker: WorkerProcess) -> None:
    """If it failed, its agent could not run again, or the cancelled run would begin after all."""
    definition = AgentDefinition(kind="python", code="print('ran')")
    agent = await lab.shiftwork.register_agent("cancelled early", definition)
    assert await asyncio.to_thread(shared_worker.stop) == 0
    task = await lab.shiftwork.run_agent(agent.id)
    cancelled = await lab.shiftwork.cancel_task(task.id)
    assert (cancelled.error_kind, cancelled.started_at) == (TaskErrorKind.CANCELLED, None)
    shared_worker.start()
    again = await lab.shiftwork.create_task(agent=agent.id)
    async with asyncio.timeout(150):
        while True:
            try:
                await lab.shiftwork.start_task(again.id)
                break
            except Conflict:
                await asyncio.sleep(0.2)
    assert (await lab.shiftwork.wait_task(again.id)).result == "ran\n"
    assert await lab.shiftwork.task(task.id) == cancelled


async def test_a_cancellation_does_not_wait_for_a_worker_for_ever(
    lab: Lab, shared_worker: WorkerProcess
) -> None:
    """If it failed, a program that ends a task would hang as long as its worker does; or it would not end."""
    task = await started(lab, "cancelled of a worker that hangs", seconds=60)
    shared_worker.pause()
    try:
        with pytest.raises(
            StackError, match=f"Task {task.id} is cancelled, but no worker has ended it within 1 "
        ):
            await lab.shiftwork.cancel_task(task.id, timeout=1)
    finally:
        shared_worker.resume()
    assert (await lab.shiftwork.wait_task(task.id)).error_kind is TaskErrorKind.CANCELLED
