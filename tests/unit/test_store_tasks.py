"""Registered agents, their tasks and handoffs against a real PostgreSQL."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest
from sqlalchemy import event, text

from shiftwork.contracts.agent import AgentConfiguration
from shiftwork.contracts.task import TaskErrorKind, TaskStatus, TaskUsage
from shiftwork.errors import Conflict, LeaseLost, NotFound, UnreadableRow
from shiftwork.store.agents import AgentDefinition
from shiftwork.store.pending import REQUESTED
from shiftwork.store.run_statements import CHANNEL
from shiftwork.store.store import Store
from shiftwork.store.task_news import TaskNews
from shiftwork.store.task_rows import NewTask, TaskFilter, TaskOutcome

DONE = TaskOutcome(status=TaskStatus.COMPLETED, result="42\n", duration=0.5, trace={"completed_at": "now"})


@pytest.fixture
async def agent(store):
    async with store.transaction() as tx:
        return await tx.agents.register("clock", AgentDefinition(kind="python", code="print(42)"))


async def created(store, **values):
    async with store.transaction() as tx:
        return await tx.tasks.create(NewTask(provider="noop", **values))


async def test_an_agent_keeps_its_versions(store, agent):
    """If it failed, nobody could tell which code a task ran."""
    changed = AgentDefinition(
        kind="python", code="print(43)", config=AgentConfiguration(schedule="0 * * * *")
    )
    async with store.transaction() as tx:
        assert (await tx.agents.change(agent.id, changed)).version == 2
        assert (await tx.agents.change(agent.id, changed)).version == 2
        versions, unreadable = await tx.agents.readable_versions(agent.id)
        assert ([row.code for row in versions], unreadable) == (["print(43)", "print(42)"], [])
        assert (await tx.agents.get(agent.id, version=1)).code == "print(42)"
        assert (await tx.agents.find("clock")).config.schedule == "0 * * * *"


async def test_neither_yes_nor_no_is_an_id(store, agent):
    """If it failed, `True` would be the first agent, the first task, the first of whatever there is."""
    task = await created(store)
    assert (agent.id, task.id) == (1, 1)
    async with store.transaction() as tx:
        for odd in (True, False):
            with pytest.raises(NotFound):
                await tx.agents.get(odd)
            with pytest.raises(NotFound):
                await tx.tasks.get(odd)


async def test_a_name_is_one_agents_until_that_is_deleted(store, agent):
    """If it failed, a name could mean two agents, or be lost for ever."""
    with pytest.raises(Conflict, match="'clock' exists already"):
        async with store.transaction() as tx:
            await tx.agents.register("clock", AgentDefinition(kind="python"))
    task = await created(store, agent_id=agent.id, agent_version=1)
    async with store.transaction() as tx:
        await tx.agents.delete(agent.id)
        other = await tx.agents.register("clock", AgentDefinition(kind="python"))
        assert [row.id for row in (await tx.agents.readable())[0]] == [other.id]
        assert (await tx.tasks.get(task.id)).agent_id == agent.id
    for ref in ("tick", str(agent.id), "99999999999999999999"):
        with pytest.raises(NotFound, match="There is no agent"):
            async with store.transaction() as tx:
                await tx.agents.find(ref)


async def test_versions_made_at_once_are_two(store, agent):
    """If it failed, one of two changes made in the same moment would be lost, or refused."""

    async def change(code):
        async with store.transaction() as tx:
            return await tx.agents.change(agent.id, AgentDefinition(kind="python", code=code))

    rows = await asyncio.gather(*(change(f"print({n})") for n in range(4)))
    assert sorted(row.version for row in rows) == [2, 3, 4, 5]


async def test_a_request_makes_one_task(store):
    """If it failed, the same occurrence of a schedule would run twice."""
    rows = await asyncio.gather(*(created(store, request_key="agent_1/12:00") for _ in range(5)))
    assert len({row.id for row in rows}) == 1
    assert rows[0].status is rows[0].state is TaskStatus.CREATED
    async with store.transaction() as tx:
        assert (await tx.tasks.by_uuid(rows[0].uuid)).id == rows[0].id


async def test_an_attempt_begins_without_the_progress_of_the_last_one(store):
    """If it failed, a run that begins anew would seem nearly done; or what a person wrote would be lost."""
    task = await created(store)
    async with store.transaction() as tx:
        await tx.tasks.move(task.id, TaskOutcome(status=TaskStatus.RUNNING, trace={"progress": "by hand"}))
    async with store.transaction() as tx:
        first = (await tx.tasks.begin(task.id, "one", {})).task
        assert first.trace["progress"] == "by hand"
        await tx.tasks.note(task.id, first.token, {"progress": 0.9, "other": 1})
    async with store.transaction() as tx:
        second = (await tx.tasks.begin(task.id, "two", {})).task
    assert "progress" not in second.trace
    assert second.trace["other"] == 1


async def test_only_the_newest_attempt_ends_a_task(store):
    """If it failed, a worker thought lost would write its result over that of its successor."""
    task = await created(store)
    async with store.transaction() as tx:
        first = (await tx.tasks.begin(task.id, "one", {"auto_started_at": "then"})).task
    async with store.transaction() as tx:
        second = (await tx.tasks.begin(task.id, "two", {})).task
    with pytest.raises(LeaseLost):
        async with store.transaction() as tx:
            await tx.tasks.finish(task.id, first.token, DONE)
    async with store.transaction() as tx:
        await tx.tasks.note(task.id, second.token, {"progress": 0.5})
        ended = await tx.tasks.finish(task.id, second.token, DONE)
    assert (ended.status, ended.result, ended.attempt, ended.worker) == ("completed", "42\n", 2, "two")
    told = {"auto_started_at": "then", "progress": 0.5, "completed_at": "now"}
    assert ended.trace == {**told, "worker": "two", "attempts": 2}
    assert ended.started_at == first.started_at
    with pytest.raises(LeaseLost):
        async with store.transaction() as tx:
            await tx.tasks.finish(task.id, second.token, DONE)


@pytest.mark.parametrize(
    ("path", "then"),
    [
        ((), "completed"),
        (("failed",), "running"),
        (("running", "completed"), "running"),
        (("running", "completed"), "failed"),
        (("running", "failed"), "completed"),
        (("running",), "created"),
        (("running",), "running"),
    ],
)
async def test_an_invalid_transition_changes_nothing(store, path, then):
    """If it failed, a task that has ended could run again, or end twice."""
    task = await created(store)
    failed = TaskErrorKind.FAILED
    async with store.transaction() as tx:
        for status in path:
            await tx.tasks.move(task.id, TaskOutcome(status=TaskStatus(status), error_kind=failed))
        before = await tx.tasks.get(task.id)
    with pytest.raises(Conflict, match=f"is {before.status}, which {then} can't follow"):
        async with store.transaction() as tx:
            await tx.tasks.move(task.id, TaskOutcome(status=TaskStatus(then)))
    async with store.transaction() as tx:
        assert await tx.tasks.get(task.id) == before


async def test_lists_are_paged_and_filtered(store, agent):
    """If it failed, a page would repeat tasks, or leave some out."""
    mine = [await created(store, agent_id=agent.id) for _ in range(3)]
    other = await created(store)
    async with store.transaction() as tx:
        await tx.tasks.begin(other.id, "w", {})
        page, _ = await tx.tasks.readable(TaskFilter(agent_id=agent.id), limit=2)
        rest, _ = await tx.tasks.readable(TaskFilter(agent_id=agent.id), before=page[-1].id)
        assert [row.id for row in (*page, *rest)] == [row.id for row in reversed(mine)]
        running, _ = await tx.tasks.readable(TaskFilter([TaskStatus.RUNNING]))
        assert [row.id for row in running] == [other.id]
        await tx.tasks.create(NewTask(provider="noop", at_once=True))
        assert [row.id for row in await tx.tasks.pending()] == [row.id for row in mine]
        assert await tx.tasks.remove_unbegun(mine[0].id)
        assert not await tx.tasks.remove_unbegun(other.id)


async def test_no_agent_hides_the_tasks_of_others(store, agent):
    """If it failed, what waits for one agent would keep a runner from all that came later."""
    mine = [(await created(store, agent_id=agent.id)).id for _ in range(4)]
    bare = [(await created(store)).id for _ in range(4)]
    async with store.transaction() as tx:
        other = await tx.agents.register("other", AgentDefinition(kind="python"))
    last = (await created(store, agent_id=other.id)).id
    async with store.transaction() as tx:
        await tx.tasks.move(bare[3], TaskOutcome(status=TaskStatus.RUNNING))
        assert await tx.tasks.newest() == last

        async def pending(**which):
            return [row.id for row in await tx.tasks.pending(**which)]

        assert await pending(limit=3) == [bare[3], mine[0], last]
        assert await pending(limit=3, without=[bare[3], mine[0], last]) == [*mine[1:3], bare[0]]
        assert await pending() == [bare[3], *mine, *bare[:3], last]
        assert await pending(newest=mine[1]) == mine[:2]


@pytest.mark.parametrize(
    ("result", "own", "short"),
    [
        ("42\n", True, True),
        ("ä" * 3_000, True, True),
        ("ä" * 3_900, True, False),
        ("x" * 10**6, True, False),
        ("42\n", False, False),
    ],
    ids=["short", "3,000 characters", "3,900 characters", "a million", "others can listen"],
)
async def test_who_waits_is_told(store, database_url, result, own, short):
    """If it failed, a caller would learn of the end of a task only by asking again and again.

    Or, told of every change alike, ask as it begins, which takes time from what has just been begun. Or would
    be told another row than the one that there is. Or on a server that others use, too, these would hear it.
    """
    connection = await asyncpg.connect(database_url)
    told: asyncio.Queue[str] = asyncio.Queue()
    await connection.add_listener(CHANNEL, lambda *message: told.put_nowait(message[-1]))
    task = await created(store)
    async with Store(database_url, own_server=own) as mine, mine.transaction() as tx:
        await tx.connection.exec_driver_sql("SET LOCAL timezone TO 'Asia/Kathmandu'")
        begun = await tx.tasks.begin(task.id, "w", {})
        outcome = DONE.model_copy(update={"result": result})
        ended = await tx.tasks.finish(task.id, begun.task.token, outcome)
    news = [TaskNews.read(await asyncio.wait_for(told.get(), 100)) for _ in range(3)]
    assert [(one.task_id, one.status) for one in news] == [
        (task.id, status) for status in ("created", "running", "completed")
    ]
    assert [bool(one.row) for one in news] == [False, False, short]
    if short:
        assert repr(news[-1].task()) == repr(ended)
    await connection.close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "7",
        "7 completed",
        "7 completed {}",
        "7 completed []",
        '7 completed {"ended_at": 1}',
        '7 completed {"id": 7}',
        '7 completed {"ended_at": "0001-01-01T00:00:00+14:00"}',
        f"7 completed {'[' * 7_000}",
        f"{'7' * 5_000} created",
        "٧ created",
    ],
)
def test_news_of_another_version_are_news_all_the_same(text):
    """If it failed, a client would not go on while its workers are replaced by newer ones."""
    news = TaskNews.read(text)
    assert (news is None) == (not text.startswith("7") or text.startswith("77"))
    if news is not None:
        assert news.task_id == 7
        with pytest.raises((ValueError, UnreadableRow)):
            news.task()


async def test_handoffs_are_of_one_owner_and_expire(store, agent):
    """If it failed, an agent would go on from what is long out of date, or from another's."""
    task = await created(store, agent_id=agent.id)
    async with store.transaction() as tx:
        await tx.handoffs.save("{}", "old", agent_id=agent.id, ttl=timedelta(seconds=-1))
        assert await tx.handoffs.latest(agent.id) is None
        first = await tx.handoffs.save('{"state": 1}', "first", agent_id=agent.id, task_id=task.id)
        second = await tx.handoffs.save('{"state": 2}', "second", agent_id=agent.id, ttl=timedelta(days=30))
        assert [row.id for row in await tx.handoffs.history(agent.id)] == [second.id, first.id]
        assert await tx.handoffs.latest(agent.id) == second
        assert await tx.handoffs.remove_expired() == 1
    for owner in ({}, {"agent_id": 999}, {"agent_id": agent.id, "session_id": 1}):
        with pytest.raises(NotFound):
            async with store.transaction() as tx:
                await tx.handoffs.save("{}", "", **owner)


async def test_what_a_task_spent_is_in_its_row(store):
    """If it failed, nobody could ask the database what runs cost, or a trace by hand would hide a task."""
    task = await created(store)
    assert task.usage is None
    async with store.transaction() as tx:
        begun = (await tx.tasks.begin(task.id, "here:1", {})).task
        told = TaskUsage(calls=2, input_tokens=10, cache_read_tokens=5, cost_usd=0.25)
        await tx.tasks.note(task.id, begun.token, {"usage": told.model_dump(mode="json")})
        assert (await tx.tasks.get(task.id)).usage == told
        [line], _ = await tx.tasks.lines(TaskFilter(), limit=1)
        assert (line.usage, line.usage.tokens) == (told, 15)
        await tx.tasks.note(task.id, begun.token, {"usage": {"input_tokens": "many"}})
        assert (await tx.tasks.get(task.id)).usage is None


async def test_each_step_of_a_task_is_one_statement(store):
    """If it failed, each run of an agent would wait for the database twice as often as it needs."""
    task = await created(store)
    statements: list[str] = []
    event.listen(
        store._engine.sync_engine,
        "before_cursor_execute",
        lambda *call: statements.append(call[2].split()[0]),
    )
    async with store.statements() as tx:
        begun = (await tx.tasks.begin(task.id, "host:1", {"sandbox": "bwrap"})).task
        await tx.tasks.note(task.id, begun.token, {"progress": 0.5})
        await tx.tasks.finish(task.id, begun.token, DONE)
    assert statements == ["WITH", "UPDATE", "UPDATE"]


async def test_a_task_is_made_together_with_the_look_for_its_agent(store, agent):
    """If it failed, each run would cost another question to the database."""
    async with store.transaction() as tx:
        current = await tx.agents.change(agent.id, AgentDefinition(kind="python", code="print(43)"))
        new = NewTask(provider="agent", at_once=True, instruction="do", request_key="k")
        task, found = await tx.tasks.create_of_agent(new, str(agent.id))
        assert (found, task) == (current, await tx.tasks.get(task.id))
        assert (task.agent_id, task.agent_version, task.instruction) == (agent.id, 2, "do")
        assert list(task.trace) == [REQUESTED]
        by_name, _ = await tx.tasks.create_of_agent(NewTask(provider="agent"), "clock")
        assert (by_name.agent_id, by_name.trace) == (agent.id, {})
        assert await tx.tasks.create_of_agent(new, "clock") is None  # there is one of this request


async def test_no_task_is_made_of_what_can_not_be_run(store, agent):
    """If it failed, a run that is refused would leave a task."""
    async with store.transaction() as tx:
        await tx.agents.register("empty", AgentDefinition(kind="python"))
        await tx.agents.register("other", AgentDefinition(kind="noop", settings={}))
        await tx.agents.register("gone", AgentDefinition(kind="python", code="pass"))
        await tx.agents.delete((await tx.agents.find("gone")).id)
        spoil = 'UPDATE agent_versions SET config = \'{"timeout": "soon"}\' WHERE agent_id = :agent'
        await tx.connection.execute(text(spoil), {"agent": agent.id})
    async with store.statements() as tx:
        new = NewTask(provider="agent", at_once=True)
        for ref in ("empty", "gone", "nobody", "99", "9" * 30):
            assert await tx.tasks.create_of_agent(new, ref) is None
        with pytest.raises(UnreadableRow, match="agent 1 "):
            await tx.tasks.create_of_agent(new, "clock")
        assert await tx.tasks.count(TaskFilter()) == 0
        assert await tx.tasks.create_of_agent(new, "other") is not None


async def test_a_task_begins_with_its_agent_as_it_was_and_the_latest_handoff(store, agent):
    """If it failed, a run would take code, or a handoff, that is not its own."""
    bare = await created(store)
    task = await created(store, agent_id=agent.id, agent_version=1)
    other = AgentDefinition(kind="python", code="print(43)")
    async with store.transaction() as tx:
        assert (await tx.tasks.begin(bare.id, "w", {})).agent is None
        stranger = await tx.agents.register("tick", other)
        await tx.agents.change(agent.id, other)
        was = await tx.agents.get(agent.id, 1)
        await tx.handoffs.save('"another\'s"', "", agent_id=stranger.id)
        begun = await tx.tasks.begin(task.id, "w", {})
        assert (begun.agent, begun.handoff) == (was, None)
        assert begun.task == await tx.tasks.get(task.id)
        for text, ttl in (('"older"', None), ('"newer"', None), ('"over"', timedelta(seconds=-1))):
            await tx.handoffs.save(text, "", agent_id=agent.id, ttl=ttl)
        assert (await tx.tasks.begin(task.id, "w", {})).handoff == '"newer"'
        await tx.agents.delete(agent.id)
        assert (await tx.tasks.begin(task.id, "w", {})).agent.code == "print(42)"
    for task_id in (0, 2**63, 10**6):
        with pytest.raises(NotFound, match=f"no task {task_id};"):
            async with store.transaction() as tx:
                await tx.tasks.begin(task_id, "w", {})


async def test_of_attempts_and_ends_at_once_one_counts(store):
    """If it failed, what one wrote would be lost under another's, or an ended task would run again."""
    task = await created(store)

    async def begin(number):
        async with store.statements() as tx:
            return (await tx.tasks.begin(task.id, f"host:{number}", {"first": number})).task

    attempts = await asyncio.gather(*(begin(number) for number in range(4)))
    assert sorted(row.attempt for row in attempts) == [1, 2, 3, 4]
    last = max(attempts, key=lambda row: row.attempt)
    assert len({row.trace["first"] for row in attempts}) == 1

    async def note(number):
        async with store.statements() as tx:
            await tx.tasks.note(task.id, last.token, {f"note {number}": number})

    async def finish(token):
        async with store.statements() as tx:
            return await tx.tasks.finish(task.id, token, DONE)

    await asyncio.gather(*(note(number) for number in range(4)))
    ends = await asyncio.gather(
        *(finish(row.token) for row in attempts for _ in "12"), return_exceptions=True
    )
    (ended,) = (end for end in ends if not isinstance(end, LeaseLost))
    assert {f"note {number}" for number in range(4)} < set(ended.trace)
    with pytest.raises(Conflict, match="is completed, which running can't follow"):
        await begin(5)
