"""Attempts that end while their task goes on: a worker that sleeps, and what Temporal's tools do to a run."""

import asyncio
import uuid

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    PauseActivityRequest,
    ResetActivityRequest,
    ResetWorkflowExecutionRequest,
    UnpauseActivityRequest,
)

from activities.names import RUN_TASK
from shiftwork.contracts.task import TaskErrorKind, TaskStatus
from shiftwork.store.task_rows import TaskRow
from shiftwork.temporal import task_workflow_id
from tests.e2e.lab import Lab, ask_of_activity, eventually
from tests.e2e.support import WorkerProcess
from tests.e2e.test_tasks_workers import started

PAUSED_SECONDS = 2.5
"""Longer than a worker takes to hear of it, and its agent to end."""


async def asked(lab: Lab, request: type, task: TaskRow) -> None:
    """Have the server do this to the activity that runs the task, as the Web UI has it."""
    await ask_of_activity(lab, request, task_workflow_id(task.id, task.agent_id), RUN_TASK)


@pytest.mark.timeout(180)
async def test_a_worker_that_slept_begins_its_task_anew(lab: Lab, shared_worker: WorkerProcess) -> None:
    """If it failed, a laptop that was closed for a minute would end the runs of the night as cancelled."""
    task = await started(lab, "asleep", seconds=3)
    shared_worker.pause()
    await asyncio.sleep(2.5 * lab.settings.timings.heartbeat_timeout)
    shared_worker.resume()
    ended = await lab.shiftwork.wait_task(task.id)
    assert (ended.status, ended.error, ended.result) == (TaskStatus.COMPLETED, None, "began 0\n")
    async with lab.shiftwork.store.transaction() as tx:
        assert len(await tx.handoffs.history(task.agent_id or 0)) == 1


@pytest.mark.timeout(180)
async def test_what_is_reset_begins_anew(lab: Lab, shared_worker: WorkerProcess) -> None:
    """If it failed, who resets a run that hangs, in Temporal's Web UI, would have it fail as cancelled."""
    task = await started(lab, "reset", seconds=4, retries=0)
    await asked(lab, ResetActivityRequest, task)
    ended = await lab.shiftwork.wait_task(task.id)
    assert (ended.status, ended.attempt, ended.result) == (TaskStatus.COMPLETED, 2, "began 0\n")


@pytest.mark.timeout(180)
async def test_what_is_paused_waits_and_begins_anew(lab: Lab, shared_worker: WorkerProcess) -> None:
    """If it failed, who pauses a run there would have it fail as cancelled."""
    task = await started(lab, "paused", seconds=4, retries=0)
    await asked(lab, PauseActivityRequest, task)

    async def given_back() -> bool:
        return "worker_stops" in (await lab.shiftwork.task(task.id)).trace

    await eventually(given_back)
    await asyncio.sleep(PAUSED_SECONDS)
    waiting = await lab.shiftwork.task(task.id)
    assert (waiting.status, waiting.attempt, waiting.trace["worker_stops"]) == (TaskStatus.RUNNING, 1, 1)
    await asked(lab, UnpauseActivityRequest, task)
    ended = await lab.shiftwork.wait_task(task.id)
    assert (ended.status, ended.attempt, ended.result) == (TaskStatus.COMPLETED, 2, "began 0\n")


@pytest.mark.timeout(180)
async def test_what_is_paused_can_be_cancelled(lab: Lab, shared_worker: WorkerProcess) -> None:
    """If it failed, its agent could not run again until somebody goes to Temporal's Web UI."""
    task = await started(lab, "paused for good", seconds=60)
    await asked(lab, PauseActivityRequest, task)
    await asyncio.sleep(PAUSED_SECONDS)
    ended = await lab.shiftwork.cancel_task(task.id)
    assert (ended.status, ended.error_kind) == (TaskStatus.FAILED, TaskErrorKind.CANCELLED)


@pytest.mark.timeout(180)
async def test_a_run_whose_workflow_was_terminated_ends(lab: Lab, shared_worker: WorkerProcess) -> None:
    """If it failed, its row would say that it runs until the maintenance comes by."""
    task = await started(lab, "terminated", seconds=60)
    client = await lab.shiftwork.temporal()
    await client.get_workflow_handle(task_workflow_id(task.id, task.agent_id)).terminate()
    ended = await lab.shiftwork.wait_task(task.id)
    assert (ended.status, ended.error_kind) == (TaskStatus.FAILED, TaskErrorKind.CANCELLED)


@pytest.mark.timeout(180)
async def test_a_run_whose_workflow_is_reset_goes_on(lab: Lab, shared_worker: WorkerProcess) -> None:
    """If it failed, a reset of the workflow, which is to repair a run, would have it fail as cancelled."""
    task = await started(lab, "its workflow reset", seconds=4)
    client = await lab.shiftwork.temporal()
    execution = WorkflowExecution(workflow_id=task_workflow_id(task.id, task.agent_id))
    await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=execution,
            reason="to see what happens",
            request_id=uuid.uuid4().hex,
            workflow_task_finish_event_id=4,
        )
    )
    ended = await lab.shiftwork.wait_task(task.id)
    assert (ended.status, ended.error, ended.result) == (TaskStatus.COMPLETED, None, "began 0\n")
    async with lab.shiftwork.store.transaction() as tx:
        assert len(await tx.handoffs.history(task.agent_id or 0)) == 1
