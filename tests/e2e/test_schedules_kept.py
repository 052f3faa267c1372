"""Temporal's schedules are as the agents' configurations say, and paused as people say."""

import asyncio
from dataclasses import replace

from temporalio.client import Schedule, ScheduleActionStartWorkflow, ScheduleIntervalSpec, ScheduleSpec
from temporalio.service import RPCError, RPCStatusCode

from client.maintenance import MAINTENANCE, schedule_maintenance
from client.schedule_changes import change_schedule
from client.schedule_specs import wanted_schedule
from shiftwork.contracts.agent import AgentConfiguration
from shiftwork.errors import ShiftworkError
from shiftwork.store.agents import AgentDefinition
from shiftwork.temporal import SCHEDULED_RUN_WORKFLOW, TASK_QUEUE
from tests.e2e.lab import eventually


def definition(**config):
    return AgentDefinition(kind="python", code="print('ran')", config=AgentConfiguration(**config))


async def register(lab, name, **config):
    return await lab.shiftwork.register_agent(name, definition(**config))


async def described(lab, named):
    """The schedule as Temporal has it; None if it has none."""
    try:
        return await (await lab.shiftwork.temporal()).get_schedule_handle(named).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise


async def test_a_deleted_agent_leaves_no_schedule(lab):
    """If it failed, its occurrences would begin for ever, and nobody else could have the ids."""
    agent = await register(lab, "to be deleted", schedule="0 3 * * *", schedules={"nights": "0 4 * * *"})
    assert await described(lab, f"agent_{agent.id}")
    await lab.shiftwork.delete_agent(agent.id)
    assert await described(lab, f"agent_{agent.id}") is None
    assert await described(lab, "nights") is None
    heir = await register(lab, "heir", schedules={"nights": "0 5 * * *"})
    disabled = definition(schedules={"nights": "0 5 * * *"}, enabled=False)
    await lab.shiftwork.change_agent(heir.id, disabled)
    await lab.shiftwork.delete_agent(heir.id)
    assert await described(lab, "nights") is None


async def test_deletes_that_race_with_changes_leave_none(lab):
    """If it failed, who changes an agent while it is deleted would bring its schedule back."""
    agents = [await register(lab, f"raced {n}", schedule="0 3 * * *") for n in range(4)]
    for agent in agents:
        told = await asyncio.gather(
            *(lab.shiftwork.set_schedule(agent.id, f"{n} 4 * * *", "raced-away") for n in range(3)),
            lab.shiftwork.delete_agent(agent.id),
            lab.shiftwork.reconcile_schedules([agent]),
            return_exceptions=True,
        )
        assert not [
            each for each in told if isinstance(each, Exception) and not isinstance(each, ShiftworkError)
        ]
        assert await described(lab, f"agent_{agent.id}") is None
        assert await described(lab, "raced-away") is None


async def test_what_agents_left_is_removed(lab):
    """If it failed, a schedule whose agent is gone would stay for ever, as nobody knows of it."""
    gone = await register(lab, "gone", schedules={"left": "0 3 * * *"})
    async with lab.shiftwork.store.transaction() as tx:  # as by a client that was ended in between
        await tx.agents.delete(gone.id)
    client = await lab.shiftwork.temporal()
    spec = ScheduleSpec(cron_expressions=["0 3 29 2 *"])
    for named, workflow in (("of-nobody", SCHEDULED_RUN_WORKFLOW), ("of-others", "TheirWorkflow")):
        action = ScheduleActionStartWorkflow(workflow, id=named, task_queue=TASK_QUEUE)
        await client.create_schedule(named, Schedule(action, spec), memo={"agent_id": 987_654_321})

    async def removed():  # Temporal lists what is new only in a moment
        await lab.shiftwork.reconcile_schedules()
        return [await described(lab, named) for named in ("left", "of-nobody")] == [None, None]

    await eventually(removed)
    assert await described(lab, "of-others")
    await client.get_schedule_handle("of-others").delete()


async def test_a_pause_outlives_that_its_agent_is_disabled(lab):
    """If it failed, an agent that a person stopped would run again as it was switched off and on."""
    agent = await register(lab, "off and on", schedule="0 3 * * *")
    await lab.shiftwork.pause_schedule(agent.id, "the shop is closed")
    await lab.shiftwork.change_agent(agent.id, definition(schedule="0 3 * * *", enabled=False))
    resting = await described(lab, f"agent_{agent.id}")
    assert resting.schedule.spec == ScheduleSpec()
    await lab.shiftwork.change_agent(agent.id, definition(schedule="0 4 * * *"))
    info = await lab.shiftwork.schedule(agent.id)
    assert (info.paused, info.note, info.schedule) == (True, "the shop is closed", "0 4 * * *")
    assert (await described(lab, info.id)).schedule.spec.calendars[0].hour[0].start == 4
    await lab.shiftwork.unpause_schedule(agent.id)
    assert len((await lab.shiftwork.schedule(agent.id)).next_runs) == 10
    await lab.shiftwork.delete_agent(agent.id)


async def test_a_disabled_agent_gets_no_schedule(lab):
    """If it failed, what is not to run would be shown among what runs."""
    agent = await register(lab, "never on", schedule="0 3 * * *", enabled=False)
    await lab.shiftwork.reconcile_schedules()
    assert await described(lab, f"agent_{agent.id}") is None
    await lab.shiftwork.delete_agent(agent.id)


async def test_a_pause_while_a_schedule_is_changed_stays(lab):
    """If it failed, an agent would go on that a person has just stopped, because a worker started."""
    agent = await register(lab, "paused meanwhile", schedule="0 3 * * *")
    client = await lab.shiftwork.temporal()
    named, looked = f"agent_{agent.id}", []
    wanted = wanted_schedule(agent, named, "0 5 * * *", 10)

    async def check(description):
        looked.append(description)
        if len(looked) == 1:
            await client.get_schedule_handle(named).pause(note="stop")

    assert await change_schedule(client, named, wanted, check=check)
    now = await described(lab, named)
    assert (now.schedule.state.paused, now.schedule.state.note) == (True, "stop")
    assert now.schedule.spec.calendars[0].hour[0].start == 5
    assert len(looked) == 3
    await lab.shiftwork.delete_agent(agent.id)


async def test_what_is_right_already_is_not_changed(lab):
    """If it failed, each start of a worker would be a moment in which a person's pause can be lost."""
    agent = await register(lab, "as it is", schedule="0 3 * * *")
    client, named = await lab.shiftwork.temporal(), f"agent_{agent.id}"
    await schedule_maintenance(client, lab.settings)

    async def tokens():
        found = [await described(lab, each) for each in (named, MAINTENANCE)]
        return [each.raw_description.conflict_token for each in found]

    before = await tokens()
    await lab.shiftwork.reconcile_schedules()
    await schedule_maintenance(client, lab.settings)
    assert await tokens() == before
    await schedule_maintenance(client, replace(lab.settings, maintenance_interval=1800.0))
    (interval,) = (await described(lab, MAINTENANCE)).schedule.spec.intervals
    assert interval == ScheduleIntervalSpec(interval.every)
    assert interval.every.total_seconds() == 1800
    await schedule_maintenance(client, lab.settings)
    await lab.shiftwork.delete_agent(agent.id)
