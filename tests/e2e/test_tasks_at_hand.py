"""Runs that begin in the worker of their workflow's step, and what becomes of them in their first moment."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle

from activities.names import ATTEND_TASK, RUN_AT_HAND, RUN_TASK
from shiftwork.contracts.agent import AgentConfiguration
from shiftwork.contracts.task import TaskErrorKind, TaskStatus
from shiftwork.stack.postgres import EmbeddedPostgres
from shiftwork.store.agents import AgentDefinition
from shiftwork.store.task_rows import TaskRow
from shiftwork.temporal import task_workflow_id
from tests.e2e.lab import Lab, eventually
from tests.e2e.support import WorkerProcess, quick_environment, worker_process

SLEEPS_ONCE = """
import subprocess
runs = handoff.state["runs"] if handoff else 0
print("began", runs, flush=True)
subprocess.run(["sleep", str(parameters["seconds"])], check=True)
save_handoff(state={"runs": runs + 1})
"""

HARD_TO_END = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(parameters["seconds"])
"""


async def begun(lab: Lab, name: str, *, seconds: float, retries: int = 2, code: str = SLEEPS_ONCE) -> TaskRow:
    """A run whose code is about to begin; the step of its workflow waits for it."""
    config = AgentConfiguration(parameters={"seconds": seconds}, retries=retries)
    agent = await lab.shiftwork.register_agent(name, AgentDefinition(kind="python", code=code, config=config))
    task = await lab.shiftwork.run_agent(agent.id)

    async def runs() -> bool:
        return (await lab.shiftwork.task(task.id)).status is not TaskStatus.CREATED

    await eventually(runs, every=0.005)
    return task


async def attended(
    lab: Lab, name: str, *, seconds: float, retries: int = 2, code: str = SLEEPS_ONCE
) -> TaskRow:
    """A run that lasts, and that is attended by now."""
    task = await begun(lab, name, seconds=seconds, retries=retries, code=code)
    await happened(lab, task, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
    pending = await (await workflow_of(lab, task)).describe()
    assert [one.activity_type.name for one in pending.raw_description.pending_activities] == [ATTEND_TASK]
    return task


async def workflow_of(lab: Lab, task: TaskRow) -> WorkflowHandle[Any, Any]:
    """The workflow of a task."""
    client = await lab.shiftwork.temporal()
    return client.get_workflow_handle(task_workflow_id(task.id, task.agent_id))


async def happened(lab: Lab, task: TaskRow, event_type: "EventType.ValueType") -> None:
    """Wait until the workflow of a task has an event like this."""
    handle = await workflow_of(lab, task)

    async def look() -> bool:
        return any(event.event_type == event_type for event in (await handle.fetch_history()).events)

    await eventually(look)


@asynccontextmanager
async def no_connections(postgres: EmbeddedPostgres) -> AsyncIterator[None]:
    """The database is as one whose server is away: it ends every connection, and takes no other."""
    name = urlsplit(postgres.url()).path.lstrip("/")
    connection = await asyncpg.connect(postgres.url("template1"))
    try:
        await connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
        )
        yield
    finally:
        await connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        await connection.close()


async def activities(lab: Lab, task: TaskRow) -> list[str]:
    """What the workflow of a task had done: local ones by their markers, and those of queues."""
    handle = await workflow_of(lab, task)
    await handle.result()
    found = []
    for event in (await handle.fetch_history()).events:
        if event.event_type is EventType.EVENT_TYPE_MARKER_RECORDED:
            found.append(RUN_AT_HAND)
        elif event.event_type is EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            found.append(event.activity_task_scheduled_event_attributes.activity_type.name)
    return found


async def handoffs(lab: Lab, task: TaskRow) -> int:
    """How many its agent has written."""
    async with lab.shiftwork.store.transaction() as tx:
        return len(await tx.handoffs.history(task.agent_id or 0))


async def nothing_sleeps(seconds: float) -> None:
    """Wait until no agent does so for this very time."""

    async def nobody() -> bool:
        found = [one.info["cmdline"] for one in psutil.process_iter(["cmdline"])]
        return ["sleep", str(seconds)] not in found

    await eventually(nobody)


@pytest.fixture
def second_worker(lab: Lab, shared_worker: WorkerProcess) -> Iterator[WorkerProcess]:
    """Another worker of the same stack."""
    log = lab.settings.state / "second-worker.log"
    with worker_process(quick_environment(lab.settings.state), log) as worker:
        yield worker


async def test_what_is_over_in_a_moment_is_no_activity_of_a_queue(lab: Lab) -> None:
    """If it failed, each short run would wait for the server to hand it on."""

    async def short() -> list[str]:
        task = await begun(lab, f"short {uuid.uuid4()}", seconds=0)
        ended = await lab.shiftwork.wait_task(task.id)
        assert (ended.status, ended.attempt, ended.result) == (TaskStatus.COMPLETED, 1, "began 0\n")
        assert await handoffs(lab, task) == 1
        return await activities(lab, task)

    # Other tests keep the processors busy: it may have taken longer, once or twice.
    while await short() != [RUN_AT_HAND]:
        pass


async def test_what_lasts_is_attended_where_it_runs(lab: Lab) -> None:
    """If it failed, a run would be begun twice, or nobody could cancel it for as long as it lasts."""
    task = await begun(lab, "lasting", seconds=2)
    ended = await lab.shiftwork.wait_task(task.id)
    assert (ended.status, ended.attempt, ended.result) == (TaskStatus.COMPLETED, 1, "began 0\n")
    assert await activities(lab, task) == [RUN_AT_HAND, ATTEND_TASK]
    assert await handoffs(lab, task) == 1


async def test_one_is_cancelled_in_its_first_moment(lab: Lab) -> None:
    """If it failed, it would run on while its row says that it was cancelled."""
    task = await begun(lab, "cancelled at once", seconds=120.25)
    ended = await lab.shiftwork.cancel_task(task.id)
    assert (ended.status, ended.error_kind) == (TaskStatus.FAILED, TaskErrorKind.CANCELLED)
    await nothing_sleeps(120.25)
    assert await handoffs(lab, task) == 0


async def test_one_whose_workflow_is_terminated_in_its_first_moment_ends(lab: Lab) -> None:
    """If it failed, it would run for as long as it likes, with nobody to tell of its end."""
    task = await begun(lab, "terminated at once", seconds=120.5)
    await (await workflow_of(lab, task)).terminate()
    ended = await lab.shiftwork.wait_task(task.id)
    assert (ended.status, ended.error_kind) == (TaskStatus.FAILED, TaskErrorKind.CANCELLED)
    await nothing_sleeps(120.5)


async def test_a_worker_killed_in_its_first_moment_loses_no_run(
    lab: Lab, shared_worker: WorkerProcess
) -> None:
    """If it failed, a crash there would leave a task that nobody runs."""
    task = await begun(lab, "killed at once", seconds=1)
    shared_worker.kill()
    shared_worker.start()
    ended = await lab.shiftwork.wait_task(task.id)
    assert (ended.status, ended.attempt, ended.result) == (TaskStatus.COMPLETED, 2, "began 0\n")
    assert await handoffs(lab, task) == 1


async def test_a_worker_stopped_in_its_first_moment_gives_it_back(
    lab: Lab, shared_worker: WorkerProcess
) -> None:
    """If it failed, a deploy would cost an agent that is not begun again its run."""
    task = await begun(lab, "stopped at once", seconds=2, retries=0)
    assert await asyncio.to_thread(shared_worker.stop) == 0
    assert (await lab.shiftwork.task(task.id)).status is TaskStatus.RUNNING
    shared_worker.start()
    ended = await lab.shiftwork.wait_task(task.id)
    assert (ended.status, ended.attempt, ended.trace["worker_stops"]) == (TaskStatus.COMPLETED, 2, 1)


async def test_a_stopping_worker_begins_nothing_that_it_gave_back(
    lab: Lab, shared_worker: WorkerProcess
) -> None:
    """If it failed, a run would begin on a worker that only waits for another's end, and be ended again."""
    slow = await attended(lab, "hard to stop", seconds=60, code=HARD_TO_END)
    task = await attended(lab, "stopped beside it", seconds=4, retries=0)
    assert await asyncio.to_thread(shared_worker.stop) == 0
    shared_worker.start()
    ended = await lab.shiftwork.wait_task(task.id)
    assert (ended.status, ended.attempt, ended.trace["worker_stops"]) == (TaskStatus.COMPLETED, 2, 1)
    await lab.shiftwork.cancel_task(slow.id)


async def test_one_that_is_cancelled_stays_so_though_its_worker_is_lost(
    lab: Lab, shared_worker: WorkerProcess
) -> None:
    """If it failed, what somebody cancelled would be begun anew, and run to its end."""
    task = await attended(lab, "cancelled and lost", seconds=20, code=HARD_TO_END)
    await (await workflow_of(lab, task)).cancel()
    await happened(lab, task, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)
    shared_worker.kill()
    shared_worker.start()
    ended = await lab.shiftwork.wait_task(task.id)
    assert (ended.status, ended.error_kind, ended.attempt) == (
        TaskStatus.FAILED,
        TaskErrorKind.CANCELLED,
        1,
    )
    assert RUN_TASK not in await activities(lab, task)


async def test_what_is_over_while_the_database_is_away_is_kept(lab: Lab, postgres: EmbeddedPostgres) -> None:
    """If it failed, work that was done would be lost, or done twice, as the database restarts."""
    task = await attended(lab, "done meanwhile", seconds=1.75, retries=0)
    async with no_connections(postgres):
        await nothing_sleeps(1.75)
        await asyncio.sleep(2)
    ended = await lab.shiftwork.wait_task(task.id)
    assert (ended.status, ended.attempt, ended.error) == (TaskStatus.COMPLETED, 1, None)
    assert await handoffs(lab, task) == 1


async def test_a_worker_that_falls_asleep_in_its_first_moment_doubles_nothing(
    lab: Lab, shared_worker: WorkerProcess
) -> None:
    """If it failed, the step that is taken again would begin the run a second time beside the first."""
    task = await begun(lab, "asleep at once", seconds=6)
    shared_worker.pause()
    await asyncio.sleep(1.5 * lab.settings.timings.workflow_task)
    shared_worker.resume()
    ended = await lab.shiftwork.wait_task(task.id)
    assert (ended.status, ended.error, ended.result) == (TaskStatus.COMPLETED, None, "began 0\n")
    assert await handoffs(lab, task) == 1
    assert RUN_TASK not in await activities(lab, task) or ended.attempt > 1


@pytest.mark.timeout(240)
async def test_another_worker_takes_over_what_one_that_sleeps_began(
    lab: Lab, shared_worker: WorkerProcess, second_worker: WorkerProcess
) -> None:
    """If it failed, both would run it to the end, or it would wait for the one that sleeps."""
    sleeping, other = shared_worker, second_worker
    task = await begun(lab, "taken over", seconds=3.25)
    host = (await lab.shiftwork.task(task.id)).worker
    if host is not None and host.endswith(f":{second_worker.pid}"):
        sleeping, other = second_worker, shared_worker
    sleeping.pause()
    try:
        ended = await lab.shiftwork.wait_task(task.id)
    finally:
        sleeping.resume()
    assert (ended.status, ended.attempt, ended.result) == (TaskStatus.COMPLETED, 2, "began 0\n")
    assert ended.worker is not None
    assert ended.worker.endswith(f":{other.pid}")
    await nothing_sleeps(3.25)
    assert await lab.shiftwork.task(task.id) == ended
    assert await handoffs(lab, task) == 1
