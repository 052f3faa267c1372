"""Runs that somebody asks for at once: they are begun by whoever asks, or there is no task of them."""

import asyncio
import time

import pytest
from sqlalchemy import text

from activities.lost_tasks import LostTasks
from client.executor import AgentExecutor
from client.task_runner import TaskRunner
from client.task_workflows import begin
from shiftwork.contracts.agent import AgentConfiguration
from shiftwork.contracts.task import TaskErrorKind, TaskStart, TaskStatus
from shiftwork.contracts.workflow import Timeouts
from shiftwork.errors import NotFound
from shiftwork.store.agents import AgentDefinition, AgentRow
from shiftwork.store.task_rows import NewTask, TaskFilter, TaskRow
from shiftwork.temporal import TASK_WORKFLOW, task_workflow_id
from tests.e2e.lab import Lab, eventually

AGE = "UPDATE tasks SET created_at = created_at - interval '2 minutes' WHERE id = :id"


async def registered(lab: Lab, name: str, code: str) -> AgentRow:
    config = AgentConfiguration(timeout=30)
    return await lab.shiftwork.register_agent(name, AgentDefinition(kind="python", code=code, config=config))


async def count(lab: Lab) -> int:
    async with lab.shiftwork.store.transaction() as tx:
        return await tx.tasks.count(TaskFilter())


async def test_who_no_longer_waits_leaves_nothing_to_be_run(lab: Lab, request: pytest.FixtureRequest) -> None:
    """If it failed, a run that somebody called off would begin hours later, when a runner comes by."""
    agent = await registered(lab, request.node.name, "print('ran')")
    await AgentExecutor(shiftwork=lab.shiftwork).execute_agent(agent.id)
    took = []
    for _ in range(3):  # in one of them the machine may have stood still
        began = time.monotonic()
        await lab.shiftwork.wait_task((await lab.shiftwork.run_agent(agent.id)).id)
        took.append(time.monotonic() - began)
    whole = min(took)
    for number in range(80):
        asking = asyncio.create_task(lab.shiftwork.run_agent(agent.id))
        await asyncio.sleep(number / 80 * whole)
        asking.cancel()
        await asyncio.wait((asking,))

    async def all_ended() -> bool:
        tasks = await lab.shiftwork.tasks(agent=agent.id, limit=200)
        return all(task.status.ended for task in tasks)

    await eventually(all_ended)
    assert (await AgentExecutor(shiftwork=lab.shiftwork).execute_agent(agent.id))["result"] == "ran\n"


async def test_no_runner_takes_what_its_maker_begins(lab: Lab, request: pytest.FixtureRequest) -> None:
    """If it failed, a caller's limits would not hold, and its task would be gone under its hands."""
    agent = await registered(lab, request.node.name, "print('x' * 5_000)")
    stop = asyncio.Event()
    loop = asyncio.create_task(TaskRunner(lab.shiftwork, enabled=True).run_loop(0.05, stop))
    executor = AgentExecutor(timeout=20, max_output_size=10, shiftwork=lab.shiftwork)
    try:
        results = [(await executor.execute_agent(agent.id))["result"] for _ in range(15)]
    finally:
        stop.set()
        await loop
    assert {len(result) for result in results} == {10}


async def test_no_agent_makes_no_task(lab: Lab) -> None:
    """If it failed, who names no agent would be told of a failed run of nobody."""
    before = await count(lab)
    with pytest.raises(ValueError, match="Which agent is to run"):
        await AgentExecutor(shiftwork=lab.shiftwork).execute_agent(None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Which agent is to run"):
        await lab.shiftwork.run_agent(None)  # type: ignore[arg-type]
    assert await count(lab) == before


async def test_a_run_that_ends_just_then_keeps_nobody_from_the_next(lab: Lab) -> None:
    """If it failed, of many who run an agent at once some would be told that no run is being ended."""
    task = await lab.shiftwork.create_task("noop", "never run")
    answers = iter([False, False, True])  # others were quicker, twice, and have ended by now

    async def start() -> bool:
        return next(answers)

    try:
        assert await begin(await lab.shiftwork.temporal(), task, "it", start, lab.shiftwork.task)
    finally:
        await lab.shiftwork.cancel_task(task.id)


async def test_of_a_deleted_agent_nothing_is_begun(lab: Lab, request: pytest.FixtureRequest) -> None:
    """If it failed, code that somebody took away would still run."""
    agent = await registered(lab, request.node.name, "import time; time.sleep(3); print('ran')")
    waits = await lab.shiftwork.create_task(agent=agent.id)
    runs = await lab.shiftwork.run_agent(agent.id)

    async def begun() -> bool:
        return (await lab.shiftwork.task(runs.id)).status is TaskStatus.RUNNING

    await eventually(begun)
    await lab.shiftwork.delete_agent(agent.id)
    assert (await lab.shiftwork.wait_task(runs.id)).result == "ran\n"
    await lab.shiftwork.start_task(waits.id)
    ended = await lab.shiftwork.wait_task(waits.id)
    assert (ended.status, ended.error_kind, ended.result) == (TaskStatus.FAILED, TaskErrorKind.INVALID, None)
    assert (
        ended.error == f"Agent {agent.name!r} was deleted before the task was begun; nothing of it was run."
    )


async def made(lab: Lab, instruction: str, *, old: bool) -> TaskRow:
    """A task whose maker was lost before it had it begun."""
    async with lab.shiftwork.store.transaction() as tx:
        task = await tx.tasks.create(NewTask(provider="noop", instruction=instruction, at_once=True))
        if old:
            await tx.connection.execute(text(AGE), {"id": task.id})
    return task


async def test_what_nobody_has_begun_is_removed(lab: Lab) -> None:
    """If it failed, the row of a caller that was killed would stay for ever, or be run long after."""
    client = await lab.shiftwork.temporal()
    fresh, left, begun = [await made(lab, what, old=what != "fresh") for what in ("fresh", "left", "begun")]
    start = TaskStart(task_id=begun.id, timeout=9, timeouts=Timeouts(heartbeat=4, retry_interval=0.1))
    workflow_id, memo = task_workflow_id(begun.id, None), {"task_id": begun.id}
    workflow = await client.start_workflow(
        TASK_WORKFLOW, start, id=workflow_id, task_queue="no worker's", memo=memo
    )
    assert (await TaskRunner(lab.shiftwork, enabled=True).run_once())["tasks_started"] == 0
    await LostTasks(lab.shiftwork.store, client).end()
    with pytest.raises(NotFound):
        await lab.shiftwork.task(left.id)
    for task in (fresh, begun):
        assert (await lab.shiftwork.task(task.id)).status is TaskStatus.CREATED
    await workflow.terminate()
    for task in (fresh, begun):
        await lab.shiftwork.cancel_task(task.id)
