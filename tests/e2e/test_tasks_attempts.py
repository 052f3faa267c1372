"""Attempts that end while their task goes on: a worker that sleeps, and what Temporal's tools do to a run."""

import asyncio
import uuid

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflowservice.v1 import (
    PauseActivityRequest,
    ResetActivityRequest,
    ResetWorkflowExecutionRequest,
    UnpauseActivityRequest,
)

from activities.names import ATTEND_TASK, RUN_TASK
from client.task_workflows import start_workflow
from shiftwork.contracts.agent import AgentConfiguration
from shiftwork.contracts.task import TaskErrorKind, TaskStart, TaskStatus
from shiftwork.contracts.workflow import Timeouts
from shiftwork.store.agents import AgentDefinition
from shiftwork.store.task_rows import TaskRow
from shiftwork.temporal import PROCESS_QUEUE, TASK_WORKFLOW, task_workflow_id
from tests.e2e.lab import Lab, ask_of_activity, eventually
from tests.e2e.support import WorkerProcess
from tests.e2e.test_tasks_workers import WAITS_ONCE

STARTED = PendingActivityState.PENDING_ACTIVITY_STATE_STARTED

PAUSED_SECONDS = 2.5
"""Longer than a worker takes to hear of it, and its agent to end."""


@pytest.fixture(params=[RUN_TASK, ATTEND_TASK])
def activity(request: pytest.FixtureRequest) -> str:
    """What has the heartbeats of a run: it came from the queue, or began at the hand of its workflow."""
    name: str = request.param
    return name


async def working(
    lab: Lab, name: str, activity: str, *, seconds: float, retries: int = 2, pause: float = 0.1
) -> TaskRow:
    """A run for which this activity is there; if that fails, it is tried again after so many seconds."""
    config = AgentConfiguration(parameters={"seconds": seconds}, retries=retries)
    definition = AgentDefinition(kind="python", code=WAITS_ONCE, config=config)
    agent = await lab.shiftwork.register_agent(f"{name} {activity}", definition)
    task = await lab.shiftwork.create_task(agent=agent.id)
    timings = lab.settings.timings
    start = TaskStart(
        task_id=task.id,
        timeouts=Timeouts(heartbeat=timings.heartbeat_timeout, retry_interval=pause),
        at_hand=activity == ATTEND_TASK,
    )
    client = await lab.shiftwork.temporal()
    assert await start_workflow(client, task, start, agent.name, timings.workflow_task)
    handle = client.get_workflow_handle(task_workflow_id(task.id, task.agent_id))

    async def is_there() -> bool:
        pending = (await handle.describe()).raw_description.pending_activities
        return [(one.activity_type.name, one.state) for one in pending] == [(activity, STARTED)]

    await eventually(is_there)
    return await lab.shiftwork.task(task.id)


async def asked(lab: Lab, request: type, task: TaskRow, activity: str) -> None:
    """Have the server do this to the activity that is there for the task, as the Web UI has it."""
    await ask_of_activity(lab, request, task_workflow_id(task.id, task.agent_id), activity)


@pytest.mark.timeout(180)
async def test_a_worker_that_slept_begins_its_task_anew(
    lab: Lab, shared_worker: WorkerProcess, activity: str
) -> None:
    """If it failed, a laptop that was closed for a minute would end the runs of the night as cancelled."""
    task = await working(lab, "asleep", activity, seconds=3)
    shared_worker.pause()
    await asyncio.sleep(2.5 * lab.settings.timings.heartbeat_timeout)
    shared_worker.resume()
    ended = await lab.shiftwork.wait_task(task.id)
    assert (ended.status, ended.error, ended.result) == (TaskStatus.COMPLETED, None, "began 0\n")
    async with lab.shiftwork.store.transaction() as tx:
        assert len(await tx.handoffs.history(task.agent_id or 0)) == 1


@pytest.mark.timeout(180)
async def test_what_is_reset_begins_anew(lab: Lab, shared_worker: WorkerProcess, activity: str) -> None:
    """If it failed, who resets a run that hangs, in Temporal's Web UI, would have it fail as cancelled."""
    task = await working(lab, "reset", activity, seconds=4, retries=0)
    await asked(lab, ResetActivityRequest, task, activity)
    ended = await lab.shiftwork.wait_task(task.id)
    assert (ended.status, ended.attempt, ended.result) == (TaskStatus.COMPLETED, 2, "began 0\n")


@pytest.mark.timeout(180)
async def test_what_another_attempt_takes_over_in_the_same_worker_is_not_lost(
    lab: Lab, shared_worker: WorkerProcess
) -> None:
    """If it failed, a run that the server has given up as its worker wakes would be given up for good."""
    task = await working(lab, "taken over", ATTEND_TASK, seconds=3, retries=0, pause=60)
    client = await lab.shiftwork.temporal()
    start = TaskStart(task_id=task.id)
    id_ = f"another of {task.id}"
    await client.execute_workflow(TASK_WORKFLOW, start, id=id_, task_queue=PROCESS_QUEUE)
    ended = await lab.shiftwork.task(task.id)
    assert (ended.status, ended.attempt, ended.error) == (TaskStatus.COMPLETED, 2, None)
    assert ended.trace["worker_stops"] == 1
    await client.get_workflow_handle(task_workflow_id(task.id, task.agent_id)).terminate()


@pytest.mark.timeout(180)
async def test_what_is_paused_waits_and_begins_anew(
    lab: Lab, shared_worker: WorkerProcess, activity: str
) -> None:
    """If it failed, who pauses a run there would have it fail as cancelled."""
    task = await working(lab, "paused", activity, seconds=4, retries=0)
    await asked(lab, PauseActivityRequest, task, activity)

    async def given_back() -> bool:
        return "worker_stops" in (await lab.shiftwork.task(task.id)).trace

    await eventually(given_back)
    await asyncio.sleep(PAUSED_SECONDS)
    waiting = await lab.shiftwork.task(task.id)
    assert (waiting.status, waiting.attempt, waiting.trace["worker_stops"]) == (TaskStatus.RUNNING, 1, 1)
    await asked(lab, UnpauseActivityRequest, task, activity)
    ended = await lab.shiftwork.wait_task(task.id)
    assert (ended.status, ended.attempt, ended.result) == (TaskStatus.COMPLETED, 2, "began 0\n")


@pytest.mark.timeout(180)
async def test_what_is_paused_can_be_cancelled(lab: Lab, shared_worker: WorkerProcess, activity: str) -> None:
    """If it failed, its agent could not run again until somebody goes to Temporal's Web UI."""
    task = await working(lab, "paused for good", activity, seconds=60)
    await asked(lab, PauseActivityRequest, task, activity)
    await asyncio.sleep(PAUSED_SECONDS)
    ended = await lab.shiftwork.cancel_task(task.id)
    assert (ended.status, ended.error_kind) == (TaskStatus.FAILED, TaskErrorKind.CANCELLED)


@pytest.mark.timeout(180)
async def test_a_run_whose_workflow_was_terminated_ends(
    lab: Lab, shared_worker: WorkerProcess, activity: str
) -> None:
    """If it failed, its row would say that it runs until the maintenance comes by."""
    task = await working(lab, "terminated", activity, seconds=60)
    client = await lab.shiftwork.temporal()
    await client.get_workflow_handle(task_workflow_id(task.id, task.agent_id)).terminate()
    ended = await lab.shiftwork.wait_task(task.id)
    assert (ended.status, ended.error_kind) == (TaskStatus.FAILED, TaskErrorKind.CANCELLED)


@pytest.mark.timeout(180)
async def test_a_run_whose_workflow_is_reset_goes_on(
    lab: Lab, shared_worker: WorkerProcess, activity: str
) -> None:
    """If it failed, a reset of the workflow, which is to repair a run, would have it fail as cancelled."""
    task = await working(lab, "its workflow reset", activity, seconds=4)
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
