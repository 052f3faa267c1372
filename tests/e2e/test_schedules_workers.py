"""Schedules on three workers that are killed again and again: each occurrence runs once."""

import asyncio
import random
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from client.maintenance import MAINTENANCE
from client.schedule_changes import suppress_missing
from shiftwork.contracts.agent import AgentConfiguration, Overlap
from shiftwork.contracts.task import TaskStatus
from shiftwork.store.agents import AgentDefinition
from tests.e2e.lab import Lab, eventually
from tests.e2e.support import WorkerProcess, quick_environment, worker_process

START = datetime(2026, 1, 5, tzinfo=UTC)
KILLING_SECONDS = 12
PATIENCE = 150
"""Seconds for what waits to be run once nobody kills any more: each run that was cut off is missed first."""
COUNTS = """
runs = handoff.state["runs"] + 1 if handoff else 1
save_handoff(state={"runs": runs})
print(runs)
"""


async def register(lab: Lab, name: str, schedule: str, **more):
    config = AgentConfiguration(schedule=schedule, retries=100, catch_up_seconds=600, **more)
    definition = AgentDefinition(kind="python", code=COUNTS, config=config)
    return await lab.shiftwork.register_agent(name, definition)


async def all_ended(lab: Lab, agent, at_least: int, at_most_open: int = 0):
    until = asyncio.get_running_loop().time() + PATIENCE
    while True:
        tasks = await lab.shiftwork.tasks(agent=agent.id, limit=1_000)
        still_open = [task for task in tasks if not task.status.ended]
        if len(tasks) >= at_least and len(still_open) <= at_most_open:
            return tasks
        late = asyncio.get_running_loop().time() > until
        assert not late, f"{len(tasks)} tasks, of which there go on: {still_open}"
        await asyncio.sleep(0.2)


async def rested(lab: Lab, agent):
    """What a paused schedule has run, and what is told of it: counted is also what has just begun."""

    async def look():
        tasks = await all_ended(lab, agent, 5)
        info = await lab.shiftwork.schedule(agent.id)
        return (tasks, info) if info.runs == len(tasks) else None

    return await eventually(look, PATIENCE)


def due_every(seconds: int, tasks) -> list[datetime]:
    """When something was due from the first of these tasks to the last."""
    moments = [task.scheduled_at for task in tasks]
    step = timedelta(seconds=seconds)
    return [min(moments) + n * step for n in range((max(moments) - min(moments)) // step + 1)]


@pytest.mark.timeout(600)
async def test_each_occurrence_runs_once_whatever_is_killed(lab: Lab, shared_worker: WorkerProcess) -> None:
    """If it failed, a crash at the wrong moment would lose a run of the night, or do it twice."""
    state, dice = lab.settings.state, random.Random(7)
    live = await register(lab, "each second, on three", "@every 1s")
    waits = await register(lab, "each other second, on three", "@every 2s", overlap=Overlap.BUFFER_ALL)
    daily = await register(lab, "each day, on three", "0 3 * * *")
    with ExitStack() as stack:
        more = [
            stack.enter_context(worker_process(quick_environment(state), state / f"worker{n}.log"))
            for n in (2, 3)
        ]
        await lab.shiftwork.backfill_schedule(daily.id, START, START + timedelta(days=5))
        until = asyncio.get_running_loop().time() + KILLING_SECONDS
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(dice.uniform(0.5, 2))
            worker = dice.choice([shared_worker, *more])
            worker.kill()
            worker.start()
        # On a busy machine no worker may have lived long enough to run many.
        await all_ended(lab, live, 5, at_most_open=1)
        await all_ended(lab, waits, 5, at_most_open=1)  # a pause drops those that wait for their turn
        for agent in (live, waits):
            await lab.shiftwork.pause_schedule(agent.id)
        paused = datetime.now(UTC)
        once = await all_ended(lab, daily, 5)
        each, of_live = await rested(lab, live)
        every, of_waits = await rested(lab, waits)
    assert sorted(task.scheduled_at for task in once) == [
        START + timedelta(days=day, hours=3) for day in range(5)
    ]
    for tasks in (once, each, every):
        assert {task.status for task in tasks} == {TaskStatus.COMPLETED}
        moments = [task.scheduled_at for task in tasks]
        assert len(set(moments)) == len(moments)
        # Each went on from the one before it: none was done twice, none was forgotten.
        counted = sorted(int(task.result) for task in tasks)
        assert counted == list(range(1, len(tasks) + 1))
    # No occurrence is lost: what waits for its turn runs, and what does not was skipped, as the policy says.
    assert due_every(2, every) == sorted(task.scheduled_at for task in every)
    assert (of_waits.skipped, of_waits.missed, of_live.missed) == (0, 0, 0)
    until_paused = (paused - min(task.scheduled_at for task in each)) // timedelta(seconds=1) + 1
    assert len(due_every(1, each)) <= of_live.runs + of_live.skipped <= until_paused
    for agent in (live, waits, daily):
        await lab.shiftwork.delete_agent(agent.id)


async def test_a_worker_that_starts_makes_what_is_missing(lab: Lab, shared_worker: WorkerProcess) -> None:
    """If it failed, a stack whose Temporal lost its store would never run anything by schedule again."""
    agent = await register(lab, "made anew", "0 3 * * *")
    client = await lab.shiftwork.temporal()
    handles = [client.get_schedule_handle(named) for named in (MAINTENANCE, f"agent_{agent.id}")]

    async def there() -> list[bool]:
        found = []
        for handle in handles:
            with suppress_missing():
                found.append((await handle.describe()).id)
        return [handle.id in found for handle in handles]

    async def both():
        return all(await there())

    await eventually(both)
    shared_worker.stop()
    for handle in handles:
        await handle.delete()
    assert await there() == [False, False]
    shared_worker.start()
    await eventually(both, 90)
    assert (await lab.shiftwork.schedule(agent.id)).schedule == "0 3 * * *"
    await lab.shiftwork.delete_agent(agent.id)
