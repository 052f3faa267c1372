"""Rows that this version can't read, which a newer one wrote or somebody changed: they stop nothing else."""

import asyncio
import json
import subprocess
import sys
from contextlib import suppress

import pytest
from sqlalchemy import text
from temporalio.service import RPCError

from activities.lost_tasks import LostTasks
from client.schedule_changes import suppress_missing
from client.task_runner import TaskRunner
from shiftwork.contracts.agent import AgentConfiguration
from shiftwork.contracts.task import TaskErrorKind, TaskStatus
from shiftwork.errors import NotFound, UnreadableRow
from shiftwork.store.agents import AgentDefinition, AgentRow
from tests.e2e.lab import Lab, eventually
from tests.e2e.support import WorkerProcess, quick_environment

SPOIL_AGENT = """UPDATE agent_versions SET config = jsonb_set(config::jsonb, '{timeout}', '"soon"')
WHERE agent_id = :id"""
SPOIL_PROJECT = """UPDATE projects SET options = jsonb_set(options::jsonb, '{max_parallel}', '"many"')::json
WHERE id = :id"""


async def registered(lab: Lab, name: str) -> AgentRow:
    config = AgentConfiguration(schedule="0 3 * * *")
    return await lab.shiftwork.register_agent(
        name, AgentDefinition(kind="python", code="print(1)", config=config)
    )


async def spoil(lab: Lab, statement: str, what: int | str) -> None:
    async with lab.shiftwork.store.transaction() as tx:
        changed = await tx.connection.execute(text(statement), {"id": what})
        assert changed.rowcount == 1


async def test_what_can_not_be_read_stops_no_worker(lab: Lab, shared_worker: WorkerProcess) -> None:
    """If it failed, one row of a newer version would end every worker of this one at its start."""
    spoiled, sound = [await registered(lab, name) for name in ("spoiled", "sound")]
    project = await lab.project(start=False)
    client = await lab.shiftwork.temporal()
    handle = client.get_schedule_handle(f"agent_{spoiled.id}")
    await runs(lab, sound)  # so the worker is ready
    assert await asyncio.to_thread(shared_worker.stop) == 0
    task = await lab.shiftwork.run_agent(spoiled.id)
    await client.get_schedule_handle(f"agent_{sound.id}").delete()
    await spoil(lab, SPOIL_AGENT, spoiled.id)
    await spoil(lab, SPOIL_PROJECT, project.id)
    shared_worker.start()
    try:
        why = rf"What is stored of agent {spoiled.id} \('spoiled'\) can't be read .*\(config.timeout: Input"
        ended = await lab.shiftwork.wait_task(task.id)
        assert (ended.status, ended.error_kind) == (TaskStatus.FAILED, TaskErrorKind.LOST)
        assert ended.error is not None
        with pytest.raises(UnreadableRow, match=why):
            await lab.shiftwork.agent(spoiled.name)
        with pytest.raises(UnreadableRow, match=why):
            raise UnreadableRow(ended.error)

        async def made_anew() -> bool:
            with suppress(NotFound):
                return (await lab.shiftwork.schedule(sound.id)).paused is False
            return False

        await eventually(made_anew, 90)
        assert (await handle.describe()).id == handle.id
        await runs(lab, sound)
    finally:
        await remove(lab, spoiled, project.id)
    await lab.shiftwork.delete_agent(sound.id)


async def runs(lab: Lab, agent: AgentRow) -> None:
    run = await lab.shiftwork.run_agent(agent.id)
    assert (await lab.shiftwork.wait_task(run.id)).status is TaskStatus.COMPLETED


async def remove(lab: Lab, agent: AgentRow, project_id: str) -> None:
    """Put right what other tests read, too."""
    async with lab.shiftwork.store.transaction() as tx:
        right = text("UPDATE agent_versions SET config = '{}' WHERE agent_id = :id")
        await tx.connection.execute(right, {"id": agent.id})
        right = text("UPDATE projects SET options = '{}' WHERE id = :id")
        await tx.connection.execute(right, {"id": project_id})
    await lab.shiftwork.delete_agent(agent.id)


async def test_an_old_version_that_can_not_be_read_matters_to_no_change(lab: Lab) -> None:
    """If it failed, a change that was stored would be reported as failed, and no agent be deleted whole."""
    agent = await registered(lab, "once spoiled")

    def scheduled(when: str) -> AgentDefinition:
        return AgentDefinition(kind="python", code="print(1)", config=AgentConfiguration(schedule=when))

    await lab.shiftwork.change_agent(agent.id, scheduled("0 4 * * *"))
    await spoil(lab, f"{SPOIL_AGENT} AND version = 1", agent.id)
    assert (await lab.shiftwork.change_agent(agent.id, scheduled("0 5 * * *"))).version == 3
    assert (await lab.shiftwork.schedule(agent.id)).schedule == "0 5 * * *"
    assert (await lab.shiftwork.delete_agent(agent.id)).deleted_at is not None
    client = await lab.shiftwork.temporal()
    with pytest.raises(RPCError, match="not found"):
        await client.get_schedule_handle(f"agent_{agent.id}").describe()


async def test_schedules_of_a_deleted_agent_go_whatever_is_stored_of_it(lab: Lab) -> None:
    """If it failed, who ended in the middle of deleting such an agent would leave its schedule for ever."""
    agent = await registered(lab, "spoiled and deleted")
    await spoil(lab, SPOIL_AGENT, agent.id)
    await spoil(lab, "UPDATE agents SET deleted_at = now() WHERE id = :id", agent.id)
    handle = (await lab.shiftwork.temporal()).get_schedule_handle(f"agent_{agent.id}")

    async def gone() -> bool:  # Temporal lists what was made a moment ago only later
        await lab.shiftwork.reconcile_schedules()
        with suppress_missing():
            await handle.describe()
            return False
        return True

    await eventually(gone)


async def trace(lab: Lab, task_id: int, value: str) -> None:
    async with lab.shiftwork.store.transaction() as tx:
        written = text("UPDATE tasks SET trace = CAST(:trace AS jsonb) WHERE id = :id")
        await tx.connection.execute(written, {"trace": value, "id": task_id})


async def test_a_task_that_can_not_be_read_stops_no_runner(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    """If it failed, one row would keep every runner from all that is pending, for good."""
    runner = TaskRunner(lab.shiftwork, enabled=True)
    await runner.run_once()
    spoiled = await lab.shiftwork.create_task("noop", "spoiled")
    await trace(lab, spoiled.id, "[]")
    try:
        for _ in range(2):
            sound = await lab.shiftwork.create_task("noop", "sound")
            summary = await runner.run_once()
            assert (summary["tasks_completed"], summary["tasks_skipped"]) == (1, 0)
            assert (await lab.shiftwork.task(sound.id)).status is TaskStatus.COMPLETED
            lines = [line for line in caplog.messages if f"of task {spoiled.id} can't be read" in line]
            assert len(lines) == 1
    finally:
        await trace(lab, spoiled.id, "{}")
        await lab.shiftwork.cancel_task(spoiled.id)


async def test_many_tasks_that_can_not_be_run_hide_no_other(lab: Lab) -> None:
    """If it failed, what came after a thousand such tasks would never be run."""
    runner = TaskRunner(lab.shiftwork, enabled=True)
    await runner.run_once()
    many = text(
        """INSERT INTO tasks (provider, status, user_id, parameters, trace)
        SELECT 'noop', 'created', 'many', '{}', '[]' FROM generate_series(1, 1001)"""
    )
    try:
        async with lab.shiftwork.store.transaction() as tx:
            await tx.connection.execute(many)
        sound = await lab.shiftwork.create_task("noop", "sound")
        summary = await runner.run_once()
        assert (summary["tasks_completed"], summary["tasks_skipped"]) == (1, 0)
        assert (await lab.shiftwork.task(sound.id)).status is TaskStatus.COMPLETED
    finally:
        async with lab.shiftwork.store.transaction() as tx:
            await tx.connection.execute(text("DELETE FROM tasks WHERE user_id = 'many'"))


async def test_tasks_are_listed_whatever_one_says(lab: Lab) -> None:
    """If it failed, nobody could see the tasks that can be read."""
    sound, spoiled = [await lab.shiftwork.create_task("noop", what) for what in ("sound", "spoiled")]
    await trace(lab, spoiled.id, "[]")
    try:
        command = [sys.executable, "-P", "-m", "client", "tasks", "list", "--json", "--last", "2"]
        environ = quick_environment(lab.settings.state)
        listed = await asyncio.to_thread(
            subprocess.run, command, env=environ, capture_output=True, text=True, check=False
        )
        assert (listed.returncode, [task["id"] for task in json.loads(listed.stdout)]) == (0, [sound.id])
        assert listed.stderr.startswith(f"warning: What is stored of task {spoiled.id} can't be read")
    finally:
        await trace(lab, spoiled.id, "{}")
        for task in (sound, spoiled):
            await lab.shiftwork.cancel_task(task.id)


async def test_lost_tasks_end_beside_what_can_not_be_read(lab: Lab) -> None:
    """If it failed, no task that is lost would ever end while one row can't be read."""
    lost, spoiled = [await lab.shiftwork.create_task("noop", what) for what in ("lost", "spoiled")]
    for task in (lost, spoiled):
        async with lab.shiftwork.store.transaction() as tx:
            await tx.tasks.begin(task.id, "gone:1", {})
    await trace(lab, spoiled.id, "[]")
    try:
        await LostTasks(lab.shiftwork.store, await lab.shiftwork.temporal()).end()
        ended = await lab.shiftwork.task(lost.id)
        assert (ended.status, ended.error_kind) == (TaskStatus.FAILED, TaskErrorKind.LOST)
    finally:
        await trace(lab, spoiled.id, "{}")
        await lab.shiftwork.cancel_task(spoiled.id)
