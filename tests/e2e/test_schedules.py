"""Agents that run by their schedules, on a real Temporal server."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from client.scheduler import AgentScheduler, get_scheduler
from shiftwork.contracts.agent import AgentConfiguration, Overlap
from shiftwork.contracts.task import TaskStatus
from shiftwork.errors import Conflict, InvalidInput, NotFound, Stale
from shiftwork.schedules import Recurrence
from shiftwork.store.agents import AgentDefinition
from tests.e2e.support import PATIENCE

START = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture
async def scheduler(lab):
    scheduler = AgentScheduler(lab.settings, interval=0.5)
    await scheduler.start()
    yield scheduler
    await scheduler.stop()


async def register(lab, name, code="print('ran')", **config):
    definition = AgentDefinition(kind="python", code=code, config=AgentConfiguration(**config))
    return await lab.shiftwork.register_agent(name, definition)


async def ended(lab, agent, number: int, seconds: float = PATIENCE):
    """The agent's tasks, once so many of them have ended."""
    async with asyncio.timeout(seconds):
        while True:
            tasks = await lab.shiftwork.tasks(agent=agent.id, limit=1_000)
            done = [task for task in tasks if task.status.ended]
            if len(done) >= number:
                return done
            await asyncio.sleep(0.1)


async def test_an_agent_runs_by_its_schedule(lab, scheduler):
    """If it failed, nothing would happen at three in the morning."""
    agent = await register(lab, "each second")
    info = await scheduler.schedule_agent(agent.id, "@every 1s")
    assert info.id == f"agent_{agent.id}"
    done = await ended(lab, agent, 3)
    with pytest.raises(NotFound, match=f"it has none of the id 'another', but agent_{agent.id};"):
        await lab.shiftwork.schedule(agent.id, "another")
    await scheduler.unschedule_agent(agent.id)
    moments = [task.scheduled_at for task in done]
    assert len(set(moments)) == len(moments)
    assert all(task.status is TaskStatus.COMPLETED for task in done)
    with pytest.raises(NotFound, match="no schedule of agent 'each second': it has none"):
        await lab.shiftwork.schedule(agent.id)
    assert (await lab.shiftwork.agent(agent.id)).version == 3


async def test_the_next_runs_are_those_of_its_clock(lab):
    """If it failed, people would be told another moment than the one that comes."""
    agent = await register(lab, "mornings", schedule="30 9 1 * MON", timezone="Europe/Berlin")
    info = await lab.shiftwork.schedule("mornings")
    assert (info.schedule, info.timezone, info.paused, info.runs) == (
        "30 9 1 * MON",
        "Europe/Berlin",
        False,
        0,
    )
    wanted = Recurrence.parse("30 9 1 * MON", "Europe/Berlin").next_runs(10)
    assert list(info.next_runs) == wanted
    await lab.shiftwork.delete_agent(agent.id)


async def test_a_backfill_runs_each_occurrence_once(lab):
    """If it failed, days that were missed would be lost, or done twice by a second backfill."""
    agent = await register(lab, "daily", schedule="0 3 * * *")
    for _ in range(2):
        await lab.shiftwork.backfill_schedule(agent.id, START, START + timedelta(days=5))
    done = await ended(lab, agent, 5)
    await asyncio.sleep(2)
    tasks = await lab.shiftwork.tasks(agent=agent.id)
    assert len(tasks) == len(done) == 5
    assert sorted(task.scheduled_at for task in tasks) == [
        START + timedelta(days=day, hours=3) for day in range(5)
    ]
    await lab.shiftwork.delete_agent(agent.id)


async def test_a_paused_schedule_rests_whatever_else_changes(lab, scheduler):
    """If it failed, an agent that a person stopped would run again because somebody edited it."""
    agent = await register(lab, "paused", schedule="@every 1s")
    await lab.shiftwork.pause_schedule(agent.id, "the shop is closed")
    await asyncio.sleep(0.5)
    before = len(await lab.shiftwork.tasks(agent=agent.id))
    await scheduler.schedule_agent(agent.id, "@every 2s")
    info = await lab.shiftwork.schedule(agent.id)
    assert (info.paused, info.note, info.next_runs) == (True, "the shop is closed", ())
    await asyncio.sleep(3)
    assert len(await lab.shiftwork.tasks(agent=agent.id)) <= before + 1
    await lab.shiftwork.unpause_schedule(agent.id)
    await ended(lab, agent, before + 2)
    await lab.shiftwork.delete_agent(agent.id)


async def test_an_occurrence_during_a_run_is_skipped(lab):
    """If it failed, an agent would run twice at once, or a queue of runs grow for ever."""
    agent = await register(lab, "slow", "import time; time.sleep(3)", schedule="0 3 * * *")
    running = await lab.shiftwork.run_agent(agent.id)
    await lab.shiftwork.backfill_schedule(agent.id, START, START + timedelta(days=1), overlap=Overlap.SKIP)
    await lab.shiftwork.wait_task(running.id)
    assert [task.id for task in await lab.shiftwork.tasks(agent=agent.id)] == [running.id]
    await lab.shiftwork.delete_agent(agent.id)


async def test_configurations_are_reconciled(lab, scheduler):
    """If it failed, an agent that was changed in the rows alone would keep its old schedule."""
    agent = await register(lab, "reconciled")
    changed = AgentDefinition(kind="python", code="print(1)", config=AgentConfiguration(schedule="0 4 * * *"))
    async with lab.shiftwork.store.transaction() as tx:
        await tx.agents.change(agent.id, changed)
    async with asyncio.timeout(150):
        while True:
            try:
                assert (await lab.shiftwork.schedule(agent.id)).schedule == "0 4 * * *"
                break
            except NotFound:
                await asyncio.sleep(0.2)
    disabled = changed.model_copy(update={"config": AgentConfiguration(schedule="0 4 * * *", enabled=False)})
    await lab.shiftwork.change_agent(agent.id, disabled)
    with pytest.raises(
        NotFound, match=rf"it is not enabled; `shiftwork agents edit {agent.id} --enable` has"
    ):
        await lab.shiftwork.schedule(agent.id)


async def test_two_that_start_at_once_make_one_schedule(lab):
    """If it failed, each occurrence would run once for each worker."""
    agent = await register(lab, "one of two")
    schedulers = [AgentScheduler(lab.settings) for _ in range(2)]
    changed = AgentDefinition(kind="python", code="print(1)", config=AgentConfiguration(schedule="@every 1s"))
    async with lab.shiftwork.store.transaction() as tx:
        await tx.agents.change(agent.id, changed)
    await asyncio.gather(*(scheduler.start() for scheduler in schedulers))
    done = await ended(lab, agent, 2)
    moments = [task.scheduled_at for task in done]
    assert len(set(moments)) == len(moments)
    await lab.shiftwork.delete_agent(agent.id)
    for scheduler in schedulers:
        await scheduler.stop()


async def test_what_can_not_be_scheduled_is_refused(lab, scheduler):
    """If it failed, a mistake would be found out by what does not happen."""
    agent = await register(lab, "refused")
    with pytest.raises(InvalidInput, match="has 6 fields"):
        await scheduler.schedule_agent(agent.id, "0 0 9 * * *")
    with pytest.raises(InvalidInput, match="'no id' can't be the id of a schedule"):
        await scheduler.schedule_agent(agent.id, "0 9 * * *", job_id="no id")
    with pytest.raises(ValueError, match="no agent 987654321"):
        await scheduler.schedule_agent(987654321, "0 9 * * *")
    with pytest.raises(InvalidInput, match="has no time in it"):
        await lab.shiftwork.backfill_schedule(agent.id, START, START)
    assert (await lab.shiftwork.agent(agent.id)).version == 1


async def test_an_agent_has_schedules_with_ids_of_their_own(lab, scheduler):
    """If it failed, a second schedule would replace the first, or be taken from another agent."""
    agent, other = await register(lab, "several"), await register(lab, "another")
    await scheduler.schedule_agent(agent.id, "0 3 * * *")
    info = await scheduler.schedule_agent(agent.id, "0 15 * * *", job_id="afternoons")
    assert (info.id, info.schedule) == ("afternoons", "0 15 * * *")
    with pytest.raises(Conflict, match="'afternoons' is not of agent 'another'"):
        await scheduler.schedule_agent(other.id, "0 4 * * *", job_id="afternoons")
    with pytest.raises(NotFound, match="no schedule of agent 'another'"):
        await lab.shiftwork.pause_schedule(other.id, job_id="afternoons")
    await scheduler.unschedule_agent(other.id)
    assert (await lab.shiftwork.schedule(agent.id, "afternoons")).schedule == "0 15 * * *"
    await scheduler.unschedule_agent(agent.id, "afternoons")
    assert (await lab.shiftwork.schedule(agent.id)).schedule == "0 3 * * *"
    with pytest.raises(NotFound, match="no schedule"):
        await lab.shiftwork.schedule(agent.id, "afternoons")
    await lab.shiftwork.delete_agent(agent.id)


async def test_schedules_that_are_changed_at_once_are_all_changed(lab):
    """If it failed, who sets one schedule of an agent would undo another that somebody sets meanwhile."""
    agent = await register(lab, "changed at once")
    never = "0 0 29 2 *"
    ids = [f"at-once-{n}" for n in range(6)]
    found = await asyncio.gather(*(lab.shiftwork.set_schedule(agent.id, never, each) for each in ids))
    assert [info.id for info in found] == ids
    assert (await lab.shiftwork.agent(agent.id)).config.schedules == dict.fromkeys(ids, never)
    await asyncio.gather(
        *(lab.shiftwork.unset_schedule(agent.id, each) for each in ids[:4]),
        lab.shiftwork.set_schedule(agent.id, "0 0 28 2 *", ids[5]),
    )
    left = {ids[4]: never, ids[5]: "0 0 28 2 *"}
    assert (await lab.shiftwork.agent(agent.id)).config.schedules == left
    version = (await lab.shiftwork.agent(agent.id)).version
    with pytest.raises(Stale, match=f"is in version {version} by now"):
        await lab.shiftwork.set_schedule(agent.id, never, version=version - 1)
    await lab.shiftwork.delete_agent(agent.id)


async def test_the_scheduler_of_a_process_runs_agents_now(lab, monkeypatch):
    """If it failed, the call that starts everything else would not work."""
    monkeypatch.setenv("SHIFTWORK_STATE", str(lab.settings.state))
    agent = await register(lab, "now")
    scheduler = await get_scheduler()
    assert scheduler is await get_scheduler()
    with pytest.raises(InvalidInput, match="not started"):
        await scheduler.execute_now(agent.id)
    await scheduler.start()
    await scheduler.start()
    assert (await scheduler.execute_now(agent.id))["result"] == "ran\n"
    short = await register(lab, "now, shortly", "print('x' * 5_000)", max_output_bytes=1_000)
    assert "of 5,001 bytes, the first are kept" in (await scheduler.execute_now(short.id))["result"]
    await scheduler.stop()
