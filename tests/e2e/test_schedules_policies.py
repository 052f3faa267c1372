"""Whose a schedule is, what a backfill makes up for, and what is told of both, on a real Temporal server."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from temporalio.client import ScheduleOverlapPolicy

from client.scheduler import AgentScheduler
from shiftwork.contracts.agent import AgentConfiguration, Overlap, WorkspaceMode
from shiftwork.errors import Conflict, InvalidInput, NotFound
from shiftwork.store.agents import AgentDefinition
from tests.e2e.lab import eventually

DAY = datetime(2026, 1, 5, tzinfo=UTC)
SLOW = "import time; time.sleep(parameters.get('seconds', 0))"


def definition(code="print('ran')", **config):
    return AgentDefinition(kind="python", code=code, config=AgentConfiguration(**config))


async def register(lab, name, code="print('ran')", **config):
    return await lab.shiftwork.register_agent(name, definition(code, **config))


async def due(lab, agent, number: int) -> list[datetime]:
    """When the agent's scheduled tasks were due, once so many have ended and none is open."""

    async def look():
        tasks = [task for task in await lab.shiftwork.tasks(agent=agent.id, limit=200) if task.scheduled_at]
        ended = all(task.status.ended for task in tasks)
        return [task.scheduled_at for task in tasks] if ended and len(tasks) >= number else None

    return sorted(await eventually(look))


async def test_an_id_that_is_raced_for_is_one_agents(lab):
    """If it failed, what was refused would be stored, and no schedule of the stack be kept any more."""
    raced = definition(schedules={"raced": "0 3 * * *"})
    made = await asyncio.gather(
        *(lab.shiftwork.register_agent(f"racer {n}", raced) for n in range(4)), return_exceptions=True
    )
    refused = [each for each in made if isinstance(each, BaseException)]
    assert len(refused) == 3
    assert all(isinstance(each, Conflict) for each in refused)
    stored = [agent for agent in await lab.shiftwork.agents() if "raced" in agent.config.schedules]
    assert [agent.name for agent in stored] == [each.name for each in made if each not in refused]

    others = [await register(lab, f"late racer {n}") for n in range(3)]
    set_at_once = await asyncio.gather(
        *(lab.shiftwork.set_schedule(each.id, "0 4 * * *", "raced-too") for each in others),
        return_exceptions=True,
    )
    assert sum(isinstance(each, Conflict) for each in set_at_once) == 2
    having = [each for each in await lab.shiftwork.agents() if "raced-too" in each.config.schedules]
    assert len(having) == 1
    for agent in (*stored, *others):
        await lab.shiftwork.delete_agent(agent.id)


async def test_one_bad_agent_keeps_no_other_from_its_schedule(lab, caplog):
    """If it failed, one agent that can't have its schedule would keep every later one from running."""
    mine = await register(lab, "has it", schedules={"shared": "0 3 * * *"})
    bad = await register(lab, "wants it")
    async with lab.shiftwork.store.transaction() as tx:  # as a version stored it that knew no better
        await tx.agents.change(bad.id, definition(schedules={"shared": "0 5 * * *"}))
    later = await register(lab, "comes later", schedule="0 4 * * *")
    client = await lab.shiftwork.temporal()
    await client.get_schedule_handle(f"agent_{later.id}").delete()
    scheduler = AgentScheduler(lab.settings)
    with caplog.at_level(logging.WARNING, logger="shiftwork.schedules"):
        await scheduler.start()
    await scheduler.stop()
    assert "the schedules of agent 'wants it' could not be made: The schedule 'shared' is not" in caplog.text
    assert (await lab.shiftwork.schedule(later.id)).schedule == "0 4 * * *"
    for told in (
        lab.shiftwork.pause_schedule(bad.id, job_id="shared"),
        lab.shiftwork.trigger_schedule(bad.id, job_id="shared"),
        lab.shiftwork.backfill_schedule(bad.id, DAY, DAY + timedelta(days=1), job_id="shared"),
    ):
        with pytest.raises(NotFound, match="the one of this id is not its own"):
            await told
    assert not (await lab.shiftwork.schedule(mine.id, "shared")).paused
    for agent in (bad, mine, later):
        await lab.shiftwork.delete_agent(agent.id)


async def test_a_backfill_waits_for_a_run_that_goes_on(lab):
    """If it failed, what was due would be dropped for a run by hand, and be counted as run."""
    agent = await register(lab, "is made up for", SLOW, schedule="0 * * * *")
    by_hand = await lab.shiftwork.run_agent(agent.id, parameters={"seconds": 4})
    await lab.shiftwork.backfill_schedule(agent.id, DAY, DAY + timedelta(hours=3))
    moments = await due(lab, agent, 4)
    assert moments == [DAY + timedelta(hours=hour) for hour in range(4)]
    assert (await lab.shiftwork.wait_task(by_hand.id)).status.ended
    info = await lab.shiftwork.schedule(agent.id)
    assert (info.runs, info.skipped, list(info.recent)) == (4, 0, moments)
    await lab.shiftwork.backfill_schedule(agent.id, DAY, DAY + timedelta(hours=3))
    await asyncio.sleep(2)
    assert (await lab.shiftwork.schedule(agent.id)).runs == 4
    await lab.shiftwork.delete_agent(agent.id)


async def test_what_a_pause_drops_is_made_up_for(lab):
    """If it failed, occurrences that waited would run in a pause, or be lost for good by it."""
    agent = await register(
        lab, "is paused", "import time; time.sleep(2)", schedule="@every 1s", overlap="buffer_all"
    )

    async def begun():
        return await lab.shiftwork.tasks(agent=agent.id)

    first = min(task.scheduled_at for task in await eventually(begun))
    await asyncio.sleep(5)
    await lab.shiftwork.pause_schedule(agent.id)
    paused = datetime.now(UTC)
    before = await due(lab, agent, 2)
    await asyncio.sleep(3)
    assert await due(lab, agent, 2) == before
    every = [first + timedelta(seconds=n) for n in range(int((paused - first).total_seconds()))]
    assert len(before) < len(every)
    await lab.shiftwork.backfill_schedule(agent.id, first, every[-1])
    assert set(every) <= set(await due(lab, agent, len(every)))
    await lab.shiftwork.delete_agent(agent.id)


async def test_a_backfill_goes_by_its_own_policy(lab):
    """If it failed, who asks that all run at once, or that none waits, would get another thing."""
    agent = await register(lab, "has a policy", "import time; time.sleep(1.5)", schedule="0 * * * *")
    end = DAY + timedelta(hours=2)
    await lab.shiftwork.backfill_schedule(agent.id, DAY, end, Overlap.ALLOW_ALL)
    assert len(await due(lab, agent, 3)) == 3
    tasks = await lab.shiftwork.tasks(agent=agent.id)
    assert max(task.started_at for task in tasks) < min(task.ended_at for task in tasks)
    by_hand = await lab.shiftwork.run_agent(agent.id)
    day = timedelta(days=1)
    await lab.shiftwork.backfill_schedule(agent.id, DAY + day, DAY + day + timedelta(minutes=1), Overlap.SKIP)
    await lab.shiftwork.wait_task(by_hand.id)

    async def skipped():
        info = await lab.shiftwork.schedule(agent.id)
        return (info.runs, info.skipped) == (3, 1)

    await eventually(skipped)
    await lab.shiftwork.delete_agent(agent.id)


async def test_who_triggers_several_times_runs_several(lab):
    """If it failed, triggers that were acknowledged would come to nothing."""
    agent = await register(lab, "is triggered", schedule="0 3 29 2 *", overlap=Overlap.ALLOW_ALL)
    await asyncio.gather(*(lab.shiftwork.trigger_schedule(agent.id) for _ in range(5)))
    assert len(set(await due(lab, agent, 5))) == 5
    assert (await lab.shiftwork.schedule(agent.id)).runs == 5
    await lab.shiftwork.delete_agent(agent.id)


async def test_one_trigger_waits_where_one_may(lab):
    """If it failed, more runs would wait for an agent than its configuration allows."""
    agent = await register(lab, "has one wait", SLOW, schedule="0 3 29 2 *", overlap=Overlap.BUFFER_ONE)
    by_hand = await lab.shiftwork.run_agent(agent.id, parameters={"seconds": 4})

    async def runs():
        return (await lab.shiftwork.task(by_hand.id)).status != "created"

    await eventually(runs)
    for _ in range(3):
        await lab.shiftwork.trigger_schedule(agent.id)
        await asyncio.sleep(0.5)
    assert len(await due(lab, agent, 1)) == 1
    info = await lab.shiftwork.schedule(agent.id)
    assert (info.runs, info.skipped) == (1, 2)
    await lab.shiftwork.delete_agent(agent.id)


async def test_jitter_loses_no_occurrence_of_a_backfill(lab):
    """If it failed, the last of the night would not be made up for, or one run that nobody asked for."""
    agent = await register(lab, "is late", schedule="0 * * * *", jitter_seconds=3_000)
    await lab.shiftwork.backfill_schedule(agent.id, DAY, DAY + timedelta(hours=5))
    await lab.shiftwork.backfill_schedule(
        agent.id, DAY + timedelta(hours=7, minutes=1), DAY + timedelta(hours=8, minutes=59)
    )
    await due(lab, agent, 7)
    await asyncio.sleep(2)
    moments = await due(lab, agent, 7)
    assert moments == [DAY + timedelta(hours=hour) for hour in (*range(6), 8)]
    await lab.shiftwork.delete_agent(agent.id)


async def test_what_is_no_past_is_not_made_up_for(lab):
    """If it failed, the runs of next week would be done now, and not when they are due."""
    agent = await register(lab, "has a future", schedule="0 * * * *", workspace=WorkspaceMode.KEEP)
    now = datetime.now(UTC)
    backfill = lab.shiftwork.backfill_schedule
    with pytest.raises(InvalidInput, match="is still to come; end it now or earlier"):
        await backfill(agent.id, now, now + timedelta(hours=1))
    with pytest.raises(InvalidInput, match="begins before 1970; begin it later"):
        await backfill(agent.id, datetime.min.replace(tzinfo=UTC), now)
    with pytest.raises(InvalidInput, match="is still to come"):
        await backfill(agent.id, DAY, datetime.max.replace(tzinfo=UTC))
    with pytest.raises(InvalidInput, match=r"keep its workspace .* choose another overlap"):
        await backfill(agent.id, DAY, DAY + timedelta(days=1), Overlap.ALLOW_ALL)
    await backfill(agent.id, DAY + timedelta(minutes=1), DAY + timedelta(minutes=2))
    assert await lab.shiftwork.tasks(agent=agent.id) == []
    await lab.shiftwork.delete_agent(agent.id)


async def test_the_next_runs_are_temporals(lab):
    """If it failed, people would be told that an agent runs in an hour that the clock leaves out."""
    schedules = {
        "spring": "30 2 28 3 *",  # the night in which the clock leaves it out, in some years
        "autumn": "30 2 25-31 10 SUN",
        "often": "@every 1s",
    }
    late = await register(lab, "is late too", schedule="0 3 * * *", jitter_seconds=7_200)
    agent = await register(lab, "has clocks", schedules=schedules, timezone="Europe/Berlin")
    for ref, named in (*((agent, each) for each in schedules), (late, f"agent_{late.id}")):
        await lab.shiftwork.pause_schedule(ref.id, job_id=named)
        client = await lab.shiftwork.temporal()
        temporals = (await client.get_schedule_handle(named).describe()).info.next_action_times
        ours = await lab.shiftwork.next_runs(ref.id, 10, job_id=named)
        assert ours[1:9] == [at for at in temporals if at >= ours[0]][1:9]
        assert len(ours) == 10
        assert ours == sorted(ours)
    assert (await lab.shiftwork.next_runs(agent.id, 10, job_id="spring"))[0].tzname() == "CEST"
    assert len(await lab.shiftwork.next_runs(agent.id, 100, job_id="autumn")) >= 50
    for each in (agent, late):
        await lab.shiftwork.delete_agent(each.id)


async def test_nothing_runs_beside_itself_unless_that_is_allowed(lab):
    """If it failed, an agent that takes longer than from one run to the next would run twice at once."""
    agent = await register(lab, "takes long", "import time; time.sleep(2.5)", schedule="@every 1s")
    client = await lab.shiftwork.temporal()
    kept = (await client.get_schedule_handle(f"agent_{agent.id}").describe()).schedule.policy
    assert (kept.overlap, kept.catchup_window) == (ScheduleOverlapPolicy.SKIP, timedelta(seconds=60))

    async def several():
        return len([task for task in await lab.shiftwork.tasks(agent=agent.id) if task.status.ended]) >= 3

    await eventually(several)
    await lab.shiftwork.pause_schedule(agent.id)

    async def rests():  # the last may just have begun
        info = await lab.shiftwork.schedule(agent.id)
        return len(await due(lab, agent, 3)) == info.runs

    await eventually(rests)
    tasks = sorted(await lab.shiftwork.tasks(agent=agent.id), key=lambda task: task.started_at)
    assert all(first.ended_at <= second.started_at for first, second in pairwise(tasks))
    info = await lab.shiftwork.schedule(agent.id)
    assert info.runs == len(tasks)
    assert info.skipped >= len(tasks)
    await lab.shiftwork.delete_agent(agent.id)


async def test_jitter_is_by_chance_and_bounded(lab):
    """If it failed, a hundred agents would begin in the same moment, or run in another's turn."""
    agent = await register(lab, "is spread", schedule="@every 3s", jitter_seconds=2)
    told = (await lab.shiftwork.schedule(agent.id)).next_runs
    turn = timedelta(seconds=3)
    due_at = {at - (at - datetime.fromtimestamp(0, UTC)) % turn: at for at in told}
    late = [at - due for due, at in due_at.items()]
    assert all(each <= timedelta(seconds=2) for each in late)
    assert len(set(late)) > 1
    await due(lab, agent, 3)
    ran = [task for task in await lab.shiftwork.tasks(agent=agent.id) if task.scheduled_at in due_at]
    assert ran
    assert all(task.created_at >= due_at[task.scheduled_at] for task in ran)
    await lab.shiftwork.delete_agent(agent.id)
