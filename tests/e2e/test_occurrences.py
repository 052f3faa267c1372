"""Tasks of occurrences are run by their schedule alone, and none is left behind."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import pytest

from client.task_runner import TaskRunner
from shiftwork.contracts.agent import AgentConfiguration, Overlap
from shiftwork.contracts.task import TaskErrorKind, TaskStatus
from shiftwork.errors import Conflict
from shiftwork.store.agents import AgentDefinition
from tests.e2e.lab import eventually
from tests.e2e.support import quick_environment, worker_process
from tests.e2e.test_maintenance import maintain

START = datetime(2026, 1, 5, tzinfo=UTC)


async def register(lab, name, seconds, **config):
    code = f"import time; time.sleep({seconds})"
    definition = AgentDefinition(kind="python", code=code, config=AgentConfiguration(**config))
    return await lab.shiftwork.register_agent(name, definition)


async def waiting(lab, agent, number):
    """The agent's tasks that wait, once there are so many and one runs."""

    async def look():
        tasks = await lab.shiftwork.tasks(agent=agent.id)
        found = [task for task in tasks if task.status is TaskStatus.CREATED]
        runs = any(task.status is TaskStatus.RUNNING for task in tasks)
        return found if runs and len(found) >= number else None

    return await eventually(look)


async def test_a_runner_leaves_occurrences_that_wait_for_a_slot(lab, shared_worker, caplog):
    """If it failed, two workflows would run one occurrence, and its task fail for workers that were lost."""
    runner = TaskRunner(lab.shiftwork, enabled=True)
    await runner.run_once()
    caplog.set_level(logging.WARNING)
    await asyncio.to_thread(shared_worker.stop)
    environment = quick_environment(lab.settings.state, SHIFTWORK_PROCESS_SLOTS="1")
    try:
        with worker_process(environment, lab.settings.state / "narrow.log"):
            agent = await register(lab, "has one slot", 2, schedule="0 * * * *")
            await lab.shiftwork.backfill_schedule(
                agent.id, START, START + timedelta(hours=3), Overlap.ALLOW_ALL
            )
            found = await waiting(lab, agent, 3)
            assert (await runner.run_once())["tasks_skipped"] == 0
            with pytest.raises(Conflict, match="is an occurrence of a schedule, which has it run"):
                await lab.shiftwork.start_task(found[0].id)
            ended = [await lab.shiftwork.wait_task(task.id) for task in found]
    finally:
        shared_worker.start()
    assert [(task.status, task.attempt) for task in ended] == [(TaskStatus.COMPLETED, 1)] * len(found)
    assert "Invalid transition" not in caplog.text
    await lab.shiftwork.delete_agent(agent.id)


async def test_an_occurrence_whose_workflow_was_terminated_ends(lab):
    """If it failed, its task would wait for ever, as runners leave it to a workflow that there is no more."""
    agent = await register(lab, "is terminated", 6, schedule="0 3 29 2 *", overlap=Overlap.BUFFER_ALL)
    by_hand = await lab.shiftwork.run_agent(agent.id)
    for _ in range(2):
        await lab.shiftwork.trigger_schedule(agent.id)
    first, second = await waiting(lab, agent, 2)
    await maintain(lab)
    assert (await lab.shiftwork.task(first.id)).status is TaskStatus.CREATED
    client = await lab.shiftwork.temporal()
    await client.get_workflow_handle(first.trace["occurrence"]).terminate("by a person")
    await maintain(lab)
    ended = await lab.shiftwork.task(first.id)
    assert (ended.status, ended.error_kind) == (TaskStatus.FAILED, TaskErrorKind.CANCELLED)
    assert (await lab.shiftwork.wait_task(second.id)).status is TaskStatus.COMPLETED
    assert (await lab.shiftwork.wait_task(by_hand.id)).status is TaskStatus.COMPLETED
    await lab.shiftwork.delete_agent(agent.id)
