"""What nobody needs any more is removed, and nothing else."""

import asyncio
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from temporalio.client import Client

from client.maintenance import MAINTENANCE, schedule_maintenance
from shiftwork.contracts.agent import AgentConfiguration
from shiftwork.contracts.maintenance import MaintenanceStart, MaintenanceSummary
from shiftwork.contracts.task import TaskErrorKind, TaskStatus
from shiftwork.contracts.workflow import Timeouts
from shiftwork.handoffs import HandoffContext
from shiftwork.repository import WorkspacePool
from shiftwork.repository.files import remove_tree
from shiftwork.runner.leftovers import RunLock
from shiftwork.stack.place import place_of
from shiftwork.store.agents import AgentDefinition, AgentRow
from shiftwork.temporal import TASK_QUEUE, task_workflow_id
from tests.e2e.lab import Lab, Project, eventually
from tests.e2e.support import WorkerProcess, git, quick_settings, simple_attempt, simple_feature
from workflows.maintenance import MaintenanceWorkflow

LONG_AGO = "UPDATE sessions SET ended_at = ended_at - interval '2 hours' WHERE project_id = :id"
KEEP_AWAY = "import time; time.sleep(60)"


async def maintain(lab: Lab) -> MaintenanceSummary:
    """One run."""
    client = await lab.shiftwork.temporal()
    start = MaintenanceStart(timeouts=Timeouts(heartbeat=4, retry_interval=0.1))
    return await client.execute_workflow(
        MaintenanceWorkflow.run, start, id=f"maintenance-{uuid.uuid4()}", task_queue=TASK_QUEUE
    )


async def execute(lab: Lab, statement: str, **values: object) -> None:
    async with lab.shiftwork.store.session() as session:
        await session.execute(text(statement), values)


async def agent(lab: Lab, name: str, code: str) -> AgentRow:
    definition = AgentDefinition(kind="python", code=code, config=AgentConfiguration(timeout=90))
    return await lab.shiftwork.register_agent(name, definition)


async def test_it_runs_by_one_schedule(lab: Lab) -> None:
    """If it failed, nothing would ever be removed, or as often as there are workers."""
    client = await lab.shiftwork.temporal()
    await asyncio.gather(*(schedule_maintenance(client, lab.settings) for _ in range(4)))
    found = [each.id async for each in await client.list_schedules()]
    assert found.count(MAINTENANCE) == 1
    handle = client.get_schedule_handle(MAINTENANCE)
    await handle.pause(note="not now")
    await schedule_maintenance(client, lab.settings)
    described = await handle.describe()
    assert described.schedule.spec.intervals[0].every == timedelta(hours=1)
    assert (described.schedule.state.paused, described.schedule.state.note) == (True, "not now")
    await handle.unpause()
    await handle.trigger()
    ran = await eventually(lambda: _last_run(client))
    summary = await client.get_workflow_handle_for(MaintenanceWorkflow.run, ran).result()
    assert summary.places >= 1
    assert summary.failed == ()
    off = quick_settings(lab.settings.state, SHIFTWORK_MAINTENANCE_INTERVAL="0")
    for _ in range(2):
        await schedule_maintenance(client, off)
    await schedule_maintenance(client, lab.settings)


async def test_rows_that_are_out_of_date_go(lab: Lab) -> None:
    """If it failed, the database would grow for ever, or lose what is still needed."""
    project = await lab.project()
    await project.completes()
    one = await agent(lab, "hands over", "pass")
    async with lab.shiftwork.store.transaction() as tx:
        session = (await tx.sessions.list(project.id))[0]
        for ttl in (timedelta(microseconds=1), timedelta(days=1)):
            await tx.handoffs.save(HandoffContext().to_json(), str(ttl), agent_id=one.id, ttl=ttl)
        before = await tx.transcript.after(session.id, 1)
        await tx.requests.claim("old request", "asked")
    assert len(before) > 1
    old = {"id": session.id, "sequence": before[0].sequence}
    await execute(
        lab,
        "UPDATE transcript SET at = at - interval '31 days' WHERE session_id = :id AND sequence = :sequence",
        **old,
    )
    await execute(lab, "UPDATE requests SET created_at = created_at - interval '2 days'")
    first, second = await asyncio.gather(maintain(lab), maintain(lab))
    assert (first.failed, second.failed) == ((), ())
    assert first.transcript_items + second.transcript_items == 1
    assert first.handoffs + second.handoffs == 1
    assert first.requests + second.requests == 1
    async with lab.shiftwork.store.transaction() as tx:
        assert await tx.transcript.after(session.id, 1) == before[1:]
        assert [kept.summary for kept in await tx.handoffs.history(one.id)] == ["1 day, 0:00:00"]


async def test_what_dead_sessions_left_goes(lab: Lab) -> None:
    """If it failed, disks would fill with what lost hosts left, or work that is still needed would go."""
    features = [simple_feature("a"), simple_feature("b")]
    project = await lab.project(features, {"b": [[{"exit": 1}]]}, max_attempts=1)
    await project.pauses()
    canary = lab.folder / "canary"
    canary.mkdir()
    (canary / "file").write_text("mine")
    await _leave(project, "s1-a7", canary)
    await _leave(project, "s77-a1", canary)  # of a session that nobody knows
    tip = git(project.main, "rev-parse", "main")
    for name in ("s1-a7", "s1-a8", "s77-a1"):
        git(project.main, "update-ref", f"refs/shiftwork/candidates/{name}", tip)
    assert (await maintain(lab)).folders == 0  # they have only just ended
    assert _left(project) >= {"runs/s1-a7", "workspaces/s1-a7", "homes/s1-verifier"}
    await execute(lab, LONG_AGO, id=project.id)
    summary = await maintain(lab)
    assert summary.failed == ()
    assert summary.folders >= 3
    assert _left(project) == {"runs/s77-a1", "workspaces/s77-a1"}
    assert _candidates(project) == {"s77-a1"}
    assert (canary / "file").read_text() == "mine"


async def test_work_that_a_feature_refers_to_stays(lab: Lab) -> None:
    """If it failed, what a paused session had done would be gone when it goes on."""
    steps = simple_attempt("a", {"write": {"path": "half.txt", "content": "half"}}, lab.here, {"sleep": 60})
    project = await lab.project([simple_feature("a")], {"a": [steps, simple_attempt("a")]})
    await lab.reached()
    await lab.shiftwork.pause(project.id, mode="at_once")
    await project.pauses()
    await execute(lab, LONG_AGO, id=project.id)
    kept = (await project.features())["a"].kept_commit
    assert kept
    summary = await maintain(lab)
    assert summary.failed == ()
    assert git(project.main, "for-each-ref", "--points-at", kept) != ""


async def test_what_lives_is_left_alone(lab: Lab) -> None:
    """If it failed, agents would lose their folders while they work."""
    wait = {"run": {"command": f"until [ -e {lab.folder}/go ]; do sleep 0.1; done"}}
    project = await lab.project(sessions={"a": [simple_attempt("a", lab.here, wait)]})
    await lab.reached()
    before = _left(project)
    definition = AgentDefinition(kind="command", settings={"argv": ["sh", "-c", "sleep 3; pwd; ls /brief"]})
    one = await lab.shiftwork.register_agent("lives", definition)
    task = await lab.shiftwork.run_agent(one.id)
    await eventually(lambda: _is(lab, task.id, TaskStatus.RUNNING))
    await asyncio.sleep(0.5)
    summary = await maintain(lab)
    assert (summary.failed, summary.tasks) == ((), 0)
    assert _left(project) == before
    assert (await lab.shiftwork.wait_task(task.id)).result == "/workspace\nbrief.md\nrequest.json"
    (lab.folder / "go").touch()
    await project.completes()


async def test_folders_of_dead_tasks_go(lab: Lab) -> None:
    """If it failed, each worker that was lost would leave its tasks' folders for ever."""
    one = await agent(lab, "ends", "pass")
    task = await lab.shiftwork.wait_task((await lab.shiftwork.run_agent(one.id)).id)
    dead, held, unknown = (
        lab.settings.task_folder(*which) for which in ((task.id, 1), (task.id, 2), (987_654, 1))
    )
    for folder in (dead, held, unknown):
        (folder / "workspace").mkdir(parents=True)
        (folder / "workspace" / "link").symlink_to(lab.folder)
    lock = RunLock(held / "agent.lock", "0" * 32)
    assert (await maintain(lab)).failed == ()
    assert [folder.exists() for folder in (dead, held, unknown)] == [False, True, True]
    lock.clear()
    lock.close()
    await maintain(lab)
    assert [folder.exists() for folder in (held, unknown)] == [False, True]
    assert lab.folder.is_dir()


async def test_a_task_that_nothing_runs_ends(lab: Lab, shared_worker: WorkerProcess) -> None:
    """If it failed, a task would be `running` for ever, and whoever waits for it wait as long."""
    one = await agent(lab, "terminated", KEEP_AWAY)
    task = await lab.shiftwork.run_agent(one.id)
    await eventually(lambda: _is(lab, task.id, TaskStatus.RUNNING))
    shared_worker.kill()
    client = await lab.shiftwork.temporal()
    await client.get_workflow_handle(task_workflow_id(task.id, one.id)).terminate("by hand")
    shared_worker.start()
    waiting = asyncio.create_task(lab.shiftwork.wait_task(task.id))
    assert (await maintain(lab)).tasks == 1
    ended = await waiting
    assert (ended.status, ended.error_kind) == (TaskStatus.FAILED, TaskErrorKind.CANCELLED)
    assert ended.error == "Its workflow was ended in Temporal."
    assert (await maintain(lab)).tasks == 0


async def test_a_task_whose_workflow_was_ended_before_it_began_ends_once(
    lab: Lab, shared_worker: WorkerProcess
) -> None:
    """If it failed, such a task would wait for ever, or one that waits on purpose would be ended."""
    one = await agent(lab, "never begun", "print('ran')")
    shared_worker.kill()
    client = await lab.shiftwork.temporal()
    on_purpose = await lab.shiftwork.create_task("noop")
    behind, dead = [await lab.shiftwork.run_agent(one.id), await lab.shiftwork.create_task("noop")]
    await lab.shiftwork.start_task(dead.id)
    for task, owner in ((behind, one.id), (dead, None)):
        await client.get_workflow_handle(task_workflow_id(task.id, owner)).terminate("by hand")
    again = await lab.shiftwork.create_task("noop")
    await lab.shiftwork.start_task(again.id)
    await client.get_workflow_handle(task_workflow_id(again.id, None)).terminate("by hand")
    await lab.shiftwork.start_task(again.id)  # it is alive again
    later = await lab.shiftwork.run_agent(one.id)  # its workflow has the id of the one that was ended
    shared_worker.start()
    for task in (again, later):
        assert (await lab.shiftwork.wait_task(task.id)).status is TaskStatus.COMPLETED
    query = "ExecutionStatus = 'Terminated'"
    seen = {task_workflow_id(dead.id, None), task_workflow_id(behind.id, one.id)}

    async def listed() -> bool:
        return seen <= {each.id async for each in client.list_workflows(query)}

    await eventually(listed)
    first, second = await asyncio.gather(maintain(lab), maintain(lab))
    assert (first.failed, second.failed, first.tasks + second.tasks) == ((), (), 2)
    for task in (behind, dead):
        ended = await lab.shiftwork.task(task.id)
        assert (ended.status, ended.error_kind) == (TaskStatus.FAILED, TaskErrorKind.CANCELLED)
        assert ended.error == "Its workflow was ended in Temporal."
    assert await lab.shiftwork.task(on_purpose.id) == on_purpose
    assert (await maintain(lab)).tasks == 0
    await lab.shiftwork.cancel_task(on_purpose.id)


async def test_a_step_that_fails_keeps_no_other_from_its_work(lab: Lab) -> None:
    """If it failed, one broken repository would keep everything from being cleared up."""
    broken = await lab.project(start=False)
    broken.main.mkdir(parents=True)
    one = await agent(lab, "expires", "pass")
    async with lab.shiftwork.store.transaction() as tx:
        await tx.handoffs.save(HandoffContext().to_json(), "", agent_id=one.id, ttl=timedelta(microseconds=1))
    summary = await maintain(lab)
    assert summary.handoffs == 1
    [failed] = summary.failed
    assert failed.startswith(f"clear_references at place {place_of(lab.settings.state)}: git for-each-ref")
    remove_tree(broken.main)


@pytest.mark.parametrize("left", ["", "nonsense"])
def test_a_place_has_one_name(tmp_path: Path, left: str) -> None:
    """If it failed, a worker would wait for work under a name that nobody asks for."""
    if left:
        (tmp_path / "place").write_text(left)
    name = place_of(tmp_path)
    assert place_of(tmp_path) == name
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


async def _last_run(client: Client) -> str | None:
    described = await client.get_schedule_handle(MAINTENANCE).describe()
    ran = [each.action for each in described.info.recent_actions]
    return getattr(ran[-1], "workflow_id", None) if ran else None


async def _is(lab: Lab, task_id: int, status: TaskStatus) -> bool:
    return (await lab.shiftwork.task(task_id)).status is status


async def _leave(project: Project, name: str, canary: Path) -> None:
    """What an attempt of a lost host leaves."""

    workspace = await WorkspacePool(project.folder / "workspaces").acquire(name)
    session = name.partition("-")[0]
    homes = [project.folder / "homes" / f"{session}-verifier"] if session != "s77" else []
    for folder in (workspace.path, project.folder / "runs" / name, *homes):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "link").symlink_to(canary)


def _left(project: Project) -> set[str]:
    kinds = ("runs", "workspaces", "homes")
    return {f"{kind}/{each.name}" for kind in kinds for each in (project.folder / kind).glob("[!.]*")}


def _candidates(project: Project) -> set[str]:
    names = git(project.main, "for-each-ref", "--format=%(refname:lstrip=3)", "refs/shiftwork/candidates")
    return set(names.split())
