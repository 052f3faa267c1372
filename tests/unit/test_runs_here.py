"""Runs that are kept in their process for whoever attends them."""

import asyncio

from activities.runs_here import RunHere, RunsHere, Wish
from shiftwork.contracts.task import TaskEnd, TaskStatus


async def ends(seconds: float) -> TaskEnd:
    """An attempt that takes so long."""
    await asyncio.sleep(seconds)
    return TaskEnd(task_id=1, status=TaskStatus.COMPLETED)


def begun(here: RunsHere, seconds: float = 0.05) -> RunHere:
    run = RunHere()
    run.attempt = asyncio.create_task(ends(seconds))
    here.add(1, run)
    return run


async def test_of_many_who_find_that_a_run_is_to_end_one_begins_another() -> None:
    """If it failed, two attempts at the same task would begin in one process."""
    here = RunsHere()
    first = begun(here)
    first.tell(Wish.OVER)

    async def step() -> RunHere:
        return await here.wanted(1) or begun(here)

    found = await asyncio.gather(step(), step())
    assert found[0] is found[1]
    assert found[0] is not first
    assert first.attempt.done()
    await here.close()
