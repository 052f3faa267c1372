"""What the Python interface to agents, tasks and schedules refuses: by one sentence, with nothing changed."""

import math
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from client.api import Shiftwork
from client.scheduler import AgentScheduler
from client.task_runner import move_task
from shiftwork.contracts.agent import AgentConfiguration
from shiftwork.errors import InvalidInput, NotFound, ShiftworkError, Stale
from shiftwork.handoffs import HandoffContext, HandoffManager
from shiftwork.store.agents import AgentDefinition, AgentRow

START = datetime(2026, 1, 1, tzinfo=UTC)
LEAP_YEAR = datetime(2024, 1, 1, tzinfo=UTC)
DEEP: list[object] = []
DEEP.append(DEEP)


@pytest.fixture
async def shiftwork(stack, database_url) -> AsyncIterator[Shiftwork]:
    """A connection to a stack of which no worker runs."""
    async with Shiftwork(replace(stack, database_url=database_url)) as shiftwork:
        yield shiftwork


@pytest.fixture
async def agent(shiftwork) -> AsyncIterator[AgentRow]:
    """An agent with a schedule of its own, and another one, neither of which is ever due here."""
    config = AgentConfiguration(schedule="0 * 29 2 *", schedules={f"s{uuid.uuid4().hex}": "0 0 29 2 *"})
    # Temporal is shared by all tests, and the numbers of this database's agents are not: so it is the 10^9th.
    async with shiftwork.store.session() as session:
        connection = await session.connection()
        number = uuid.uuid4().int % 10**12
        await connection.exec_driver_sql(f"ALTER SEQUENCE agents_id_seq RESTART WITH {number}")
    definition = AgentDefinition(kind="python", code="pass", config=config)
    row = await shiftwork.register_agent("clock", definition)
    yield row
    await shiftwork.unset_schedule("clock")


ODD_TASKS = [
    ({"parameters": {"n": math.nan}}, "parameters.n is nan, which JSON has no number for"),
    ({"parameters": {"a": [1, -math.inf]}}, "parameters.a.1 is -inf"),
    ({"parameters": {"a": {"b": "x\0"}}}, "parameters.a.b holds a NUL character"),
    ({"parameters": {"a\0": 1}}, "A key of parameters holds a NUL character"),
    ({"parameters": {"a": "\ud800"}}, "half of a character"),
    ({"parameters": {1: 2}}, "has the key 1; keys must be text"),
    ({"parameters": {"a": object()}}, "parameters.a is of the type object"),
    ({"parameters": {"a": DEEP}}, "nested deeper than 64 levels"),
    ({"parameters": {"a": "x" * 5_000_000}}, "takes 5,000,0.. bytes"),
    ({"parameters": {"a": 10**5_000}}, "has too many digits"),
    ({"parameters": [1]}, "parameters must be a mapping of names to values, not list"),
    ({"instruction": "a\0"}, "The instruction holds a NUL"),
    ({"instruction": None}, "The instruction must be text, not NoneType"),
    ({"user_id": "a\0"}, "user_id holds a NUL"),
    ({"request_key": "a\0"}, "request_key holds a NUL"),
    ({"instruction": "x" * 100_001}, "has 100,001 characters, and may have 100,000"),
    ({"instruction": "x" * 10_000_000}, "has 10,000,000 characters"),
    ({"user_id": "x" * 201}, "user_id has 201 characters, and may have 200"),
    ({"request_key": "x" * 201}, "request_key has 201 characters"),
    ({"request_key": ""}, "request_key is empty; give each request a key"),
    ({"request_key": "schedule/agent_1/2026-01-01T00:00:00+00:00"}, "as those of schedules' occurrences do"),
    ({"provider": ""}, "'' can't be a provider: name one"),
    ({"provider": "no\0op"}, "The provider holds a NUL"),
    ({"provider": "no\nop"}, "can't be a provider"),
    ({"provider": "x" * 61}, "can't be a provider"),
    ({"provider": 7}, "The provider must be text, not int"),
]


async def test_a_task_is_kept_as_it_is_or_not_at_all(shiftwork) -> None:
    """If it failed, a task would silently be run with something else than was asked for."""
    for values, says in ODD_TASKS:
        with pytest.raises(InvalidInput, match=says):
            await shiftwork.create_task(**{"provider": "noop", **values})
    assert await shiftwork.tasks() == []


async def test_a_run_is_told_what_was_said_or_not_at_all(shiftwork, agent) -> None:
    """If it failed, an agent would silently be run with something else than was asked for."""
    for values in ({"parameters": {"n": math.nan}}, {"instruction": "\0"}):
        with pytest.raises(InvalidInput):
            await shiftwork.run_agent("clock", **values)
    assert await shiftwork.tasks() == []


ODD_AGENTS = [
    ({"config": AgentConfiguration(parameters={"n": math.inf})}, "config.parameters.n is inf"),
    ({"description": "a\0"}, "The description of the agent holds a NUL"),
    ({"config": AgentConfiguration(timezone="Europe/Nowhere")}, "no time zone 'Europe/Nowhere'"),
    ({"kind": "command", "code": None, "settings": {"argv": ["\0"]}}, "settings.argv.0 holds a NUL"),
]


@pytest.mark.parametrize(
    "asked", [{"timeout": True}, {"timeout": "3"}, {"timeout": math.nan}, {"timeout": 0}]
)
async def test_a_run_has_a_time_that_is_one(shiftwork, agent, asked) -> None:
    """If it failed, a mistake would be an error of another kind, or a run of one second."""
    with pytest.raises(InvalidInput, match=r"timeout is .*; it must be a number of more than 0"):
        await shiftwork.run_agent(agent.id, **asked)
    with pytest.raises(InvalidInput, match="max_output_bytes is '9'; it must be a whole number"):
        await shiftwork.run_agent(agent.id, max_output_bytes="9")
    assert await shiftwork.tasks() == []


@pytest.mark.parametrize("asked", [{"limit": -1}, {"limit": None}, {"before": "x"}, {"before": 2**63}])
async def test_a_part_of_a_list_is_one(shiftwork, asked) -> None:
    """If it failed, a mistake would be an error of the database."""
    with pytest.raises(InvalidInput, match=r"is .*; it must be a whole number, 0 or more"):
        await shiftwork.tasks(**asked)


async def test_parameters_are_as_many_as_a_run_can_have(shiftwork, agent) -> None:
    """If it failed, a task would be made that can't be run."""
    much = {"a": "x" * 262_144}
    for asking in (
        shiftwork.create_task(agent=agent.id, parameters=much),
        shiftwork.run_agent(agent.id, parameters=much),
        shiftwork.register_agent(
            "much", AgentDefinition(kind="python", code="pass", config=AgentConfiguration(parameters=much))
        ),
    ):
        with pytest.raises(InvalidInput, match=r"takes 262,15. bytes, and may take 262,144"):
            await asking
    assert await shiftwork.tasks() == []
    assert (await shiftwork.create_task("noop", parameters=much)).parameters == much


async def test_what_waits_is_cancelled_at_once(shiftwork) -> None:
    """If it failed, who does not wait would be told that the task has not ended, which it has."""
    task = await shiftwork.create_task("noop", "waits")
    for odd in (-1, math.nan, True, "3"):
        with pytest.raises(InvalidInput, match=r"timeout is .*; it must be a number of seconds, 0 or more"):
            await shiftwork.cancel_task(task.id, timeout=odd)
    assert (await shiftwork.task(task.id)).status == "created"
    assert (await shiftwork.cancel_task(task.id, timeout=0)).status == "failed"


async def test_next_runs_have_a_number(shiftwork, agent) -> None:
    """If it failed, who asks for many would get fewer without a word, or wait for ever."""
    for odd in (0, -1, 1_001, 10**6, True, "3"):
        with pytest.raises(InvalidInput, match=r"number is .*; it must be a whole number from 1 to 1000"):
            await shiftwork.next_runs(agent.id, odd)
    assert len(await shiftwork.next_runs(agent.id, 400)) == 400


async def test_next_runs_end_where_time_does(shiftwork, agent) -> None:
    """If it failed, who asks for many of a schedule that seldom comes would meet an unexpected error."""
    (rare,) = agent.config.schedules
    found = await shiftwork.next_runs(agent.id, 1_000, job_id=rare)
    assert found[:1] == await shiftwork.next_runs(agent.id, 1, job_id=rare)
    assert {(at.month, at.day) for at in found} == {(2, 29)}


async def test_a_pause_without_a_note_names_no_program(shiftwork, agent) -> None:
    """If it failed, people would read of a library that they do not know."""
    await shiftwork.pause_schedule(agent.id)
    assert (await shiftwork.schedule(agent.id)).note == "Paused without a reason."
    await shiftwork.unpause_schedule(agent.id)
    assert (await shiftwork.schedule(agent.id)).note == "Unpaused."


async def test_an_agent_is_kept_as_it_is_or_not_at_all(shiftwork, agent) -> None:
    """If it failed, a limit that is a mistake would be none, and a parameter null."""
    for changed, says in ODD_AGENTS:
        definition = AgentDefinition(**{"kind": "python", "code": "pass", **changed})
        with pytest.raises(InvalidInput, match=says):
            await shiftwork.change_agent("clock", definition)
        with pytest.raises(InvalidInput, match=says):
            await shiftwork.register_agent("other", definition)
    assert [(row.name, row.version) for row in await shiftwork.agents()] == [("clock", 1)]


async def test_no_agent_holds_a_secret(stack, database_url, monkeypatch) -> None:
    """If it failed, whoever lists agents could read a secret in their code, and every run have it."""
    known = "kA7x" + "9Qm2Lw8Zr4Tn6Vb1"
    monkeypatch.setenv("SHOP_API_KEY", known)
    token = "ghp_" + "R7k2Wq9Lx4Zt8Vn3Bm6Yc1Hd5Jf0Gs2Pa4Qe"
    async with Shiftwork(replace(stack, database_url=database_url)) as shiftwork:
        await shiftwork.register_agent("clean", AgentDefinition(kind="python", code="pass"))
        for value, named in {known: "SHOP_API_KEY", token: "github"}.items():
            for changed, where in (
                ({"code": f"import os\nkey = {value!r}\n"}, "code would hold the secret .* in line 2"),
                ({"config": AgentConfiguration(parameters={"key": value})}, "configuration would hold"),
                ({"description": f"It has {value}."}, "description would hold"),
            ):
                definition = AgentDefinition(**{"kind": "python", "code": "pass", **changed})
                for refused in (
                    shiftwork.register_agent("other", definition),
                    shiftwork.change_agent("clean", definition),
                ):
                    with pytest.raises(InvalidInput, match=where) as raised:
                        await refused
                    assert named in str(raised.value)
                    assert value not in str(raised.value)
        assert [(row.name, row.version) for row in await shiftwork.agents()] == [("clean", 1)]


async def test_a_handoff_is_kept_as_it_is_or_not_at_all(shiftwork, agent) -> None:
    """If it failed, an agent would go on from something else than its last run left."""
    manager = HandoffManager(shiftwork.store)
    for state in ({"n": math.nan}, {"n": "\0"}, {"n": [math.inf]}):
        with pytest.raises(InvalidInput, match="of a handoff"):
            await manager.save_handoff(agent.id, None, HandoffContext(state=state), "")
    with pytest.raises(InvalidInput, match="The summary of a handoff holds a NUL"):
        await manager.save_handoff(agent.id, None, HandoffContext(), "a\0")
    assert await manager.load_latest_handoff(agent.id) is None


ODD_TRACES = [
    7,
    ["a"],
    {"a": math.nan},
    {"a": "\0"},
    {"a": DEEP},
    {"a": "x" * 5_000_000},
    {1: 1},
    {"a": {1}},
    "a\0",
]


async def test_an_odd_trace_moves_nothing(shiftwork) -> None:
    """If it failed, a task would be moved, and what was to be known of it be lost or altered."""
    task = await shiftwork.create_task("noop")
    for trace in ODD_TRACES:
        with pytest.raises(InvalidInput, match="trace"):
            await move_task(shiftwork, task.id, "failed", trace)
    assert await shiftwork.task(task.id) == task


ODD_SCHEDULES = [
    ((None, "0 9 * * *"), "agent_id is None; it must be the id of an agent"),
    (("clock", "0 9 * * *"), "agent_id is 'clock'"),
    ((True, "0 9 * * *"), "agent_id is True"),
    ((..., None), "The schedule is None, which is no text: write a cron expression"),
    ((..., ""), "The schedule is empty: write a cron expression"),
    ((..., 5), "The schedule is 5"),
    ((..., "0 0 30 2 *"), "names a moment that never comes"),
    ((..., "0 9 * * *" + " " * 200), "schedule: must have 200 characters at most"),
    ((..., "0 9 * * *", ""), "'' can't be the id of a schedule"),
    ((..., "0 9 * * *", "a b"), "'a b' can't be the id of a schedule"),
    ((..., "0 9 * * *", 7), "7 can't be the id of a schedule"),
]


async def test_what_is_no_schedule_changes_nothing(shiftwork, agent) -> None:
    """If it failed, a mistake would take an agent's schedule away, or be stored."""
    scheduler = AgentScheduler(shiftwork.settings)
    await scheduler.start()
    try:
        for arguments, says in ODD_SCHEDULES:
            with pytest.raises(InvalidInput, match=says):
                await scheduler.schedule_agent(*(agent.id if each is ... else each for each in arguments))
        with pytest.raises(InvalidInput, match="can't be the id of a schedule"):
            await scheduler.unschedule_agent(agent.id, "")
        with pytest.raises(InvalidInput, match="agent_id is"):
            await scheduler.execute_now(str(agent.id))
    finally:
        await scheduler.stop()
    assert await shiftwork.agent("clock") == agent


@pytest.mark.parametrize("interval", [0, -1, None, True, math.nan, math.inf, "5"])
def test_a_scheduler_looks_at_times(interval) -> None:
    """If it failed, a scheduler would ask the database without a pause, or fail at its first look."""
    with pytest.raises(InvalidInput, match="interval is"):
        AgentScheduler(interval=interval)


async def test_a_schedules_id_names_its_agent(shiftwork, agent) -> None:
    """If it failed, the id that a list and Temporal's Web UI show would lead nowhere."""
    own = f"agent_{agent.id}"
    assert (await shiftwork.schedule(own)).id == own
    [other] = agent.config.schedules
    assert (await shiftwork.schedule(other)).schedule == "0 0 29 2 *"
    assert (await shiftwork.schedule(own, other)).id == other
    await shiftwork.pause_schedule(other, "here")
    assert [(await shiftwork.schedule("clock", named)).paused for named in (own, other)] == [False, True]
    await shiftwork.unset_schedule(other)
    assert (await shiftwork.agent("clock")).config.schedules == {}
    for unknown in ("agent_x", "nothing", other):
        with pytest.raises(NotFound, match=r"There is no agent .*, nor a schedule of that id"):
            await shiftwork.schedule(unknown)


async def test_a_backfill_has_an_end(shiftwork, agent) -> None:
    """If it failed, Temporal would drop most of a long backfill without a word."""
    [other] = agent.config.schedules
    await shiftwork.set_schedule("clock", "* * 29 2 *")
    with pytest.raises(
        InvalidInput, match=r"More than 1000 occurrences .* up to 2024-02-29T16:39.* for example"
    ):
        await shiftwork.backfill_schedule("clock", LEAP_YEAR, LEAP_YEAR + timedelta(days=366))
    await shiftwork.backfill_schedule(other, LEAP_YEAR, LEAP_YEAR + timedelta(days=366))
    with pytest.raises(InvalidInput, match="need a time zone"):
        await shiftwork.backfill_schedule("clock", "2026-01-01", START)
    with pytest.raises(InvalidInput, match="'never' is no policy"):
        await shiftwork.backfill_schedule("clock", START, START + timedelta(days=1), "never")


async def test_who_names_a_version_changes_no_other(shiftwork, agent) -> None:
    """If it failed, one of two people who change an agent at once would undo what the other did."""
    changed = AgentDefinition(kind="python", code="print(1)", config=agent.config)
    assert (await shiftwork.change_agent("clock", changed, version=1)).version == 2
    for change in (
        shiftwork.change_agent("clock", AgentDefinition(kind="python", code="print(2)"), version=1),
        shiftwork.set_schedule("clock", "0 9 * * *", version=1),
        shiftwork.delete_agent("clock", version=1),
    ):
        with pytest.raises(Stale, match="is in version 2 by now, not in version 1"):
            await change
    assert (await shiftwork.agent("clock")).code == "print(1)"


def test_a_stale_change_is_an_error_of_ours() -> None:
    """If it failed, programs that catch what people can act on would not catch it."""
    assert issubclass(Stale, ShiftworkError)
