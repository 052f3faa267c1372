"""The folder that a registered agent keeps from run to run."""

import asyncio
import fcntl
import os
import stat
import uuid
from pathlib import Path

import pytest
from pydantic import ValidationError

from activities.kept import Kept
from client.cli.agents import _folder
from shiftwork.contracts.agent import AgentConfiguration, Overlap, WorkspaceMode
from shiftwork.contracts.limits import AgentLimits
from shiftwork.contracts.task import TaskErrorKind, TaskStatus
from shiftwork.store.agents import AgentDefinition, AgentRow
from shiftwork.store.task_rows import TaskRow
from tests.e2e.lab import Lab, eventually
from tests.e2e.support import WorkerProcess
from tests.e2e.test_maintenance import maintain

COUNTS = """
import os, sys, time
with open("runs.txt", "a+") as file:
    file.write("x")
    file.seek(0)
    print(len(file.read()), flush=True)
    os.chmod("runs.txt", 0o600)
time.sleep(SECONDS)
"""
KINDS = ("python", "command")


async def agent(lab: Lab, kind: str, seconds: float = 0, **config: object) -> AgentRow:
    """One that counts its runs in a file, and then waits."""
    code = COUNTS.replace("SECONDS", str(seconds))
    configuration = AgentConfiguration.model_validate({"workspace": "keep", "timeout": 60, **config})
    given = AgentDefinition(kind=kind, code=code, config=configuration)
    if kind == "command":
        settings = {"argv": ["python3", "-c", code]}
        given = AgentDefinition(kind=kind, settings=settings, config=configuration)
    return await lab.shiftwork.register_agent(f"keeps {uuid.uuid4().hex}", given)


async def run(lab: Lab, which: AgentRow, timeout: float | None = None) -> TaskRow:
    return await lab.shiftwork.wait_task((await lab.shiftwork.run_agent(which.id, timeout=timeout)).id)


async def counted(lab: Lab, which: AgentRow) -> str:
    """What a run printed that completed."""
    task = await run(lab, which)
    assert (task.status, task.error) == (TaskStatus.COMPLETED, None)
    return (task.result or "").strip()


def workspace(lab: Lab, which: AgentRow) -> Path:
    return lab.settings.agent_folder(which.id, which.created_at) / "workspace"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_run_finds_what_the_last_one_left(lab: Lab, kind: str) -> None:
    """If it failed, an agent would clone or download everything again at each run."""
    keeps = await agent(lab, kind)
    assert [await counted(lab, keeps) for _ in range(3)] == ["1", "2", "3"]
    assert (workspace(lab, keeps) / "runs.txt").read_text() == "xxx"
    assert stat.S_IMODE(workspace(lab, keeps).stat().st_mode) == 0o700
    fresh = await agent(lab, kind, workspace="fresh")
    assert [await counted(lab, fresh) for _ in range(2)] == ["1", "1"]
    assert not workspace(lab, fresh).parent.exists()


@pytest.mark.parametrize("kind", KINDS)
async def test_another_profile_finds_it_too(lab: Lab, kind: str) -> None:
    """If it failed, what an agent keeps would be another user's once its profile is changed."""
    keeps = await agent(lab, kind)
    assert await counted(lab, keeps) == "1"
    for number, profile in enumerate(("open", "strict"), 2):
        config = {**keeps.config.model_dump(), "sandbox": {"profile": profile}}
        changed = keeps.model_copy(update={"config": AgentConfiguration.model_validate(config)})
        await lab.shiftwork.change_agent(keeps.id, AgentDefinition.model_validate(changed.model_dump()))
        assert await counted(lab, keeps) == str(number)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_killed_workers_run_goes_on_in_it(lab: Lab, shared_worker: WorkerProcess, kind: str) -> None:
    """If it failed, a folder would be locked for ever by a worker that is gone."""
    keeps = await agent(lab, kind, 1.5)
    task = await lab.shiftwork.run_agent(keeps.id)
    await eventually(lambda: _began(lab, keeps))
    shared_worker.kill()
    shared_worker.start()
    ended = await lab.shiftwork.wait_task(task.id)
    assert (ended.status, ended.attempt, (ended.result or "").strip()) == (TaskStatus.COMPLETED, 2, "2")


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_kept_has_a_bound(lab: Lab, kind: str) -> None:
    """If it failed, an agent that runs every hour would fill the disk, a little each time."""
    keeps = await agent(lab, kind, limits={"disk_mb": 2})
    assert await counted(lab, keeps) == "1"
    large = workspace(lab, keeps) / "large"
    large.write_bytes(os.urandom(2_000_000))
    task = await run(lab, keeps)
    assert (task.status, task.error_kind) == (TaskStatus.FAILED, TaskErrorKind.LIMIT)
    assert (task.error or "").startswith(
        "The folder that the agent keeps holds 2 MB, and its limit disk_mb is 2: raise that, or remove"
    )
    large.unlink()
    assert await counted(lab, keeps) == "2"


def test_what_lies_there_counts() -> None:
    """If it failed, each run could add as much as all may."""
    kept = Kept(Path("never"), None, 30)
    assert kept.left(AgentLimits(disk_mb=50)) == AgentLimits(disk_mb=20)
    assert kept.left(AgentLimits(disk_mb=None)) == AgentLimits(disk_mb=None)
    assert kept.too_full(AgentLimits(disk_mb=None)) is None
    assert kept.too_full(AgentLimits(disk_mb=30)) is not None


async def test_two_never_work_in_it_at_once(lab: Lab) -> None:
    """If it failed, two runs would write over each other, or the second one wait for ever."""
    keeps = await agent(lab, "python")
    assert await counted(lab, keeps) == "1"
    fd = os.open(workspace(lab, keeps).parent, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        late = await run(lab, keeps, timeout=0.5)
        waiting = await lab.shiftwork.run_agent(keeps.id)
        await asyncio.sleep(0.5)
    finally:
        os.close(fd)
    assert (late.status, late.error_kind) == (TaskStatus.FAILED, TaskErrorKind.TIMEOUT)
    assert (late.error or "").endswith("still works in the folder that it keeps.")
    assert ((await lab.shiftwork.wait_task(waiting.id)).result or "").strip() == "2"
    with pytest.raises(ValidationError, match="choose another of the two"):
        AgentConfiguration(workspace=WorkspaceMode.KEEP, overlap=Overlap.ALLOW_ALL)


async def test_a_deleted_agents_folder_goes(lab: Lab) -> None:
    """If it failed, disks would fill with what deleted agents kept, or a living one would lose it."""
    kept, deleted, busy = [await agent(lab, "python") for _ in range(3)]
    for each in (kept, deleted, busy):
        await run(lab, each)
    other = lab.settings.agents / f"a{deleted.id}-1"  # an agent of another database
    other.mkdir()
    for each in (deleted, busy):
        await lab.shiftwork.delete_agent(each.id)
    fd = os.open(workspace(lab, busy).parent, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        summary = await maintain(lab)
    finally:
        os.close(fd)
    assert summary.failed == ()
    folders = [workspace(lab, each).parent for each in (kept, deleted, busy)]
    assert [folder.exists() for folder in (*folders, other)] == [True, False, True, True]
    await maintain(lab)
    assert [folder.exists() for folder in (*folders, other)] == [True, False, False, True]


async def test_people_are_told_where_it_is(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it failed, nobody would find what an agent keeps."""
    monkeypatch.setenv("SHIFTWORK_STATE", str(lab.settings.state))
    assert _folder(await agent(lab, "python", workspace="fresh")) is None
    keeps = await agent(lab, "python")
    assert _folder(keeps) == str(workspace(lab, keeps))


async def _began(lab: Lab, which: AgentRow) -> bool:
    return (workspace(lab, which) / "runs.txt").exists()
