"""What is recorded of runs of no project: tasks, occurrences of schedules, maintenance, episodes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

from temporalio.client import Client, WorkflowHistory

from shiftwork.contracts.agent import AgentConfiguration, Overlap
from shiftwork.contracts.episode import EvaluationSpec
from shiftwork.contracts.maintenance import MaintenanceStart
from shiftwork.contracts.task import TaskStatus
from shiftwork.contracts.workflow import Timeouts
from shiftwork.store.agents import AgentDefinition, AgentRow
from shiftwork.store.evaluations import EvaluationRow
from shiftwork.store.task_rows import TaskRow
from shiftwork.temporal import (
    SCHEDULED_RUN_WORKFLOW,
    TASK_QUEUE,
    episode_workflow_id,
    evaluation_workflow_id,
    task_workflow_id,
)
from tests.e2e.lab import Lab, eventually
from tests.e2e.support import WorkerProcess
from workflows.maintenance import MaintenanceWorkflow

Run = Callable[[Lab, WorkerProcess], Awaitable[dict[str, WorkflowHistory]]]
"""Has something run; its histories, by what is added to the name of the file."""

NEVER = "0 3 29 2 *"
"""Almost: its occurrences are triggered."""

DAY = datetime(2024, 2, 29, tzinfo=UTC)
SLOW = "import time; time.sleep(3)"


async def task_completed(lab: Lab, _: WorkerProcess) -> dict[str, WorkflowHistory]:
    """A task that does what it should; recorded, as the next four, when every run came from the queue."""
    return await _of_task(lab, await lab.shiftwork.run_agent((await _agent(lab, "completes")).id))


async def task_failed(lab: Lab, _: WorkerProcess) -> dict[str, WorkflowHistory]:
    """One that fails by itself."""
    failing = await _agent(lab, "fails", "1 / 0")
    return await _of_task(lab, await lab.shiftwork.run_agent(failing.id))


async def task_cancelled(lab: Lab, _: WorkerProcess) -> dict[str, WorkflowHistory]:
    """One that is cancelled while it works."""
    task = await lab.shiftwork.run_agent((await _agent(lab, "is cancelled", "while True: pass")).id)
    await eventually(lambda: _runs(lab, task))
    await lab.shiftwork.cancel_task(task.id)
    return await _of_task(lab, task)


async def task_given_up(lab: Lab, worker: WorkerProcess) -> dict[str, WorkflowHistory]:
    """One that is cancelled before any worker saw it."""
    worker.stop()
    task = await lab.shiftwork.run_agent((await _agent(lab, "is given up")).id)
    client = await lab.shiftwork.temporal()
    await client.get_workflow_handle(task_workflow_id(task.id, task.agent_id)).cancel()
    worker.start()
    return await _of_task(lab, task)


async def task_taken_over(lab: Lab, worker: WorkerProcess) -> dict[str, WorkflowHistory]:
    """One whose worker is lost."""
    task = await lab.shiftwork.run_agent((await _agent(lab, "is taken over", SLOW)).id)
    await eventually(lambda: _runs(lab, task))
    worker.kill()
    worker.start()
    return await _of_task(lab, task)


async def task_at_hand(lab: Lab, _: WorkerProcess) -> dict[str, WorkflowHistory]:
    """One that is over in the step of the workflow that began it."""
    return await _of_task(lab, await lab.shiftwork.run_agent((await _agent(lab, "is at hand")).id))


async def task_attended(lab: Lab, _: WorkerProcess) -> dict[str, WorkflowHistory]:
    """One that lasts longer, and is attended."""
    return await _of_task(lab, await lab.shiftwork.run_agent((await _agent(lab, "lasts", SLOW)).id))


async def task_attended_cancelled(lab: Lab, _: WorkerProcess) -> dict[str, WorkflowHistory]:
    """One that is cancelled then."""
    task = await lab.shiftwork.run_agent((await _agent(lab, "lasts, is cancelled", "while True: pass")).id)
    await asyncio.sleep(2)
    await lab.shiftwork.cancel_task(task.id)
    return await _of_task(lab, task)


async def task_attended_lost(lab: Lab, worker: WorkerProcess) -> dict[str, WorkflowHistory]:
    """One whose worker is lost then."""
    task = await lab.shiftwork.run_agent((await _agent(lab, "lasts, is lost", SLOW)).id)
    await asyncio.sleep(2)
    worker.kill()
    worker.start()
    return await _of_task(lab, task)


async def occurrence(lab: Lab, _: WorkerProcess) -> dict[str, WorkflowHistory]:
    """An occurrence of a schedule, and its task."""
    agent = await _agent(lab, "is scheduled", schedule=NEVER)
    await lab.shiftwork.trigger_schedule(agent.id)
    client = await lab.shiftwork.temporal()
    [scheduled] = await _ended(client, agent, 1)
    task = await client.get_workflow_handle(task_workflow_id(0, agent.id)).fetch_history()
    return {"scheduled": scheduled, "task": task}


async def occurrence_skipped(lab: Lab, _: WorkerProcess) -> dict[str, WorkflowHistory]:
    """One that meets a run, and is skipped; and one whose task there was already."""
    agent = await _agent(lab, "is skipped", SLOW, schedule=NEVER)
    task = await lab.shiftwork.run_agent(agent.id)
    await lab.shiftwork.trigger_schedule(agent.id)
    client = await lab.shiftwork.temporal()
    [skipped] = await _ended(client, agent, 1)
    await lab.shiftwork.wait_task(task.id)
    for number in (2, 3):
        await lab.shiftwork.backfill_schedule(agent.id, DAY, DAY + timedelta(days=1))
        *_, repeated = await _ended(client, agent, number)
    return {"scheduled": skipped, "repeated": repeated}


async def occurrence_waiting(lab: Lab, _: WorkerProcess) -> dict[str, WorkflowHistory]:
    """One that waits for the end of a run."""
    agent = await _agent(lab, "is waited for", SLOW, schedule=NEVER, overlap=Overlap.BUFFER_ONE)
    await lab.shiftwork.run_agent(agent.id)
    await lab.shiftwork.trigger_schedule(agent.id)
    [waiting] = await _ended(await lab.shiftwork.temporal(), agent, 1)
    return {"scheduled": waiting}


async def maintenance(lab: Lab, _: WorkerProcess) -> dict[str, WorkflowHistory]:
    """A round of maintenance, at one place; recorded before it looked for evaluations and projects."""
    return await _maintained(lab)


async def maintenance_of_all(lab: Lab, _: WorkerProcess) -> dict[str, WorkflowHistory]:
    """One that looks for evaluations and projects, too."""
    return await _maintained(lab)


async def _maintained(lab: Lab) -> dict[str, WorkflowHistory]:
    client = await lab.shiftwork.temporal()
    start = MaintenanceStart(timeouts=Timeouts(heartbeat=4, retry_interval=0.1))
    handle = await client.start_workflow(
        MaintenanceWorkflow.run, start, id="maintenance-1", task_queue=TASK_QUEUE
    )
    await handle.result()
    return {"run": await handle.fetch_history()}


async def evaluation(lab: Lab, _: WorkerProcess) -> dict[str, WorkflowHistory]:
    """Three episodes, two at once."""
    spec = EvaluationSpec(environment="number_guess", episodes=3, parallel=2)
    return await _of_evaluation(lab, await lab.shiftwork.evaluate(spec))


async def evaluation_cancelled(lab: Lab, _: WorkerProcess) -> dict[str, WorkflowHistory]:
    """One that is cancelled while its first episode is played."""
    spec = EvaluationSpec(environment="maze", parameters={"rows": 40, "columns": 40}, episodes=2)
    row = await lab.shiftwork.evaluate(spec)

    async def look() -> bool:
        first, _ = await lab.shiftwork.episodes(row.id)
        return bool(await lab.shiftwork.episode_steps(first.id, limit=1))

    await eventually(look)
    await lab.shiftwork.cancel_evaluation(row.id)
    return await _of_evaluation(lab, row)


RUNS: tuple[Run, ...] = (
    *(task_completed, task_failed, task_cancelled, task_given_up, task_taken_over),
    *(task_at_hand, task_attended, task_attended_cancelled, task_attended_lost),
    *(occurrence, occurrence_skipped, occurrence_waiting, maintenance, maintenance_of_all),
    *(evaluation, evaluation_cancelled),
)


async def _agent(
    lab: Lab, name: str, code: str = "print(1)", schedule: str | None = None, overlap: Overlap = Overlap.SKIP
) -> AgentRow:
    config = AgentConfiguration(timeout=60, schedule=schedule, overlap=overlap)
    return await lab.shiftwork.register_agent(name, AgentDefinition(kind="python", code=code, config=config))


async def _of_task(lab: Lab, task: TaskRow) -> dict[str, WorkflowHistory]:
    """The history of its workflow, once it has ended."""
    client = await lab.shiftwork.temporal()
    handle = client.get_workflow_handle(task_workflow_id(task.id, task.agent_id))
    await handle.result()
    return {"task": await handle.fetch_history()}


async def _of_evaluation(lab: Lab, row: EvaluationRow) -> dict[str, WorkflowHistory]:
    """The histories of its workflow, and of its first episode's, once they have ended."""
    client = await lab.shiftwork.temporal()
    handle = client.get_workflow_handle(evaluation_workflow_id(row.id))
    await handle.result()
    first = (await lab.shiftwork.episodes(row.id))[0]
    episode = await client.get_workflow_handle(episode_workflow_id(first.id)).fetch_history()
    return {"all": await handle.fetch_history(), "episode": episode}


async def _runs(lab: Lab, task: TaskRow) -> bool:
    return (await lab.shiftwork.task(task.id)).status is TaskStatus.RUNNING


async def _ended(client: Client, agent: AgentRow, number: int) -> list[WorkflowHistory]:
    """The agent's occurrences, oldest first, once so many have ended."""

    async def look() -> list[WorkflowHistory]:
        found = [each async for each in _occurrences(client, agent)]
        return found if len(found) >= number else []

    return await eventually(look)


async def _occurrences(client: Client, agent: AgentRow) -> AsyncIterator[WorkflowHistory]:
    wanted = f"WorkflowType = '{SCHEDULED_RUN_WORKFLOW}' AND ExecutionStatus = 'Completed'"
    listed = [
        each
        async for each in client.list_workflows(wanted)
        if each.id.startswith(f"scheduled-agent_{agent.id}-")
    ]
    for each in sorted(listed, key=lambda each: each.start_time):
        yield await client.get_workflow_handle(each.id, run_id=each.run_id).fetch_history()
