"""Projects whose maker ended before it could start them."""

import asyncio
import signal
import subprocess
import sys
import uuid

import pytest
from temporalio.client import Client

from client.api import Shiftwork
from shiftwork.contracts.project import ProjectOptions, ProjectStatus
from shiftwork.errors import StackError
from shiftwork.store.rows import ProjectRow
from shiftwork.temporal import project_workflow_id
from tests.e2e.lab import Lab, eventually
from tests.e2e.support import (
    WorkerProcess,
    quick_environment,
    scripted,
    simple_attempt,
    simple_feature,
    worker_process,
    write_cassette,
)
from tests.e2e.test_maintenance import execute, maintain

MAKES = """
import asyncio, os, signal, sys
from client.api import Shiftwork
from shiftwork.contracts.project import ProjectOptions

class Ends(Shiftwork):
    async def open(self, project_id):
        os.kill(os.getpid(), signal.SIGKILL)

async def make(name, options):
    async with Ends() as shiftwork:
        await shiftwork.start(name, "Write files.", options=ProjectOptions.model_validate_json(options))

asyncio.run(make(*sys.argv[1:]))
"""
"""Ends where a person's program may: after the rows, before the workflow."""


def options(lab: Lab) -> ProjectOptions:
    lab.folder.chmod(0o777)  # agents of a worker that is root are another user
    return scripted(write_cassette(lab.folder / "c.yml", [simple_feature("x")], {"x": [simple_attempt("x")]}))


async def made(lab: Lab, *, start: bool = True, seconds: int = 40) -> ProjectRow:
    """A project whose maker ended so long ago; of one that was to be started."""
    row = await lab.shiftwork.create(uuid.uuid4().hex, "Write files.", options=options(lab), start=start)
    await left(lab, row, seconds)
    return row


async def left(lab: Lab, row: ProjectRow, seconds: int = 40) -> None:
    earlier = f"SET created_at = created_at - interval '{seconds} s'"
    await execute(lab, f"UPDATE projects {earlier} WHERE id = :id", id=row.id)
    await execute(lab, f"UPDATE project_starts {earlier} WHERE project_id = :id", id=row.id)


async def runs(lab: Lab, row: ProjectRow) -> int:
    """How many workflows it has had."""
    client = await lab.shiftwork.temporal()
    query = f"WorkflowId = '{project_workflow_id(row.id)}'"
    return len([each async for each in client.list_workflows(query)])


async def completed(lab: Lab, row: ProjectRow) -> None:
    async def look() -> bool:
        return (await lab.shiftwork.find(row.id)).status is ProjectStatus.COMPLETED

    await eventually(look, 90)

    async def seen() -> bool:
        return await runs(lab, row) == 1

    await eventually(seen)


async def test_a_project_whose_maker_was_killed_is_begun_once(lab: Lab, shared_worker: WorkerProcess) -> None:
    """One that is `initializing` for ever, unless somebody happens to wait for it."""
    name = uuid.uuid4().hex
    make = [sys.executable, "-P", "-c", MAKES, name, options(lab).model_dump_json()]
    maker = await asyncio.to_thread(
        subprocess.run, make, env=quick_environment(lab.settings.state), check=False, timeout=120
    )
    assert maker.returncode == -signal.SIGKILL
    row = await lab.shiftwork.find(name)
    assert (await maintain(lab)).failed == ()
    assert await runs(lab, row) == 0  # its maker may be about to start it
    await left(lab, row)
    found = await asyncio.gather(*(maintain(lab) for _ in range(3)))
    assert [each.failed for each in found] == [()] * 3
    await completed(lab, row)
    another = await made(lab)
    found = await asyncio.gather(*(maintain(lab) for _ in range(3)))
    assert sum(each.projects for each in found) == 1
    await completed(lab, another)
    assert (await maintain(lab)).projects == 0
    assert await runs(lab, row) == 1


class Silent(Shiftwork):
    """Its Temporal server goes away once the rows of a project are there."""

    async def temporal(self) -> Client:
        raise StackError("Temporal did not answer: connection refused; try again.")


async def test_a_project_that_could_not_be_started_is_told_to_be_there(lab: Lab) -> None:
    """Somebody told to try again, who is then refused the name, or makes and pays for a second one."""
    name = uuid.uuid4().hex
    async with Silent(lab.settings) as shiftwork:
        with pytest.raises(StackError) as caught:
            await shiftwork.start(name, "Write files.", options=options(lab))
    assert str(caught.value) == (
        f"Project {name!r} is made, but not started yet: Temporal did not answer: connection refused; a "
        "worker starts it later, `shiftwork resume` at once."
    )
    row = await lab.shiftwork.find(name)
    assert await runs(lab, row) == 0
    await lab.shiftwork.resume(name)
    await completed(lab, row)


async def test_workers_begin_it_when_they_start(lab: Lab, shared_worker: WorkerProcess) -> None:
    """A machine that went down with whoever made a project would let it wait for the next maintenance."""
    shared_worker.kill()
    row = await made(lab)
    with worker_process(quick_environment(lab.settings.state), lab.folder / "worker.log"):
        shared_worker.start()
        await completed(lab, row)


async def test_no_other_project_is_begun(lab: Lab, shared_worker: WorkerProcess) -> None:
    """Money spent on what nobody started, or on what somebody has ended."""
    later, young = await made(lab, start=False), await made(lab, seconds=0)
    begun, ended = await made(lab), await made(lab)
    await lab.shiftwork.pause(begun.id)  # whatever is told to a project starts it, too
    client = await lab.shiftwork.temporal()
    shared_worker.kill()
    await lab.shiftwork.open(ended.id)
    await client.get_workflow_handle(project_workflow_id(ended.id)).terminate("by hand")
    async with lab.shiftwork.store.transaction() as tx:
        await tx.starts.add(ended.id)  # as if its maker had been killed right after it was started
    await left(lab, ended)
    shared_worker.start()
    assert (await maintain(lab)).failed == ()
    assert [await runs(lab, each) for each in (later, young, begun, ended)] == [0, 0, 1, 1]
    async with lab.shiftwork.store.transaction() as tx:
        waiting = {each.id for each in await tx.starts.overdue(-60, 1000)}
    assert waiting & {each.id for each in (later, young, begun, ended)} == {young.id}
    await lab.shiftwork.delete(young.id)
    async with lab.shiftwork.store.transaction() as tx:
        assert young.id not in {each.id for each in await tx.starts.overdue(-60, 1000)}


async def test_a_project_that_was_started_waits_for_nobody(lab: Lab, shared_worker: WorkerProcess) -> None:
    """A list of projects to be started that grows for ever."""
    project_id = await lab.shiftwork.start(uuid.uuid4().hex, "Write files.", options=options(lab))
    async with lab.shiftwork.store.transaction() as tx:
        assert project_id not in {each.id for each in await tx.starts.overdue(-60, 1000)}
