"""Ends of tasks that are to be told: each is found once, and stays due until it was told."""

import asyncio

from sqlalchemy import text

from shiftwork.contracts.task import TaskStatus
from shiftwork.store.notices import _FIND, TRIES
from shiftwork.store.task_rows import NewTask, TaskOutcome

HERE, ELSEWHERE = "a digest", "another"


async def ended(store, status=TaskStatus.COMPLETED):
    async with store.transaction() as tx:
        task = await tx.tasks.create(NewTask(provider="noop"))
        begun = await tx.tasks.begin(task.id, "w", {})
        await tx.tasks.finish(task.id, begun.task.token, TaskOutcome(status=status))
        return task.id


async def join(store, endpoint=HERE):
    async with store.transaction() as tx:
        await tx.notices.join(endpoint)


async def claim(store, endpoint=HERE, limit=10):
    async with store.transaction() as tx:
        await tx.notices.find(endpoint, 100)
    async with store.transaction() as tx:
        return [(each.id, each.attempts) for each in await tx.notices.claim(endpoint, limit)]


async def ended_long_ago(store, count):
    """As many tasks that ended three hours ago, when somebody listened already."""
    await join(store)
    await execute(store, "UPDATE webhooks SET since = since - interval '4 hours'")
    await execute(
        store,
        "INSERT INTO tasks (provider, instruction, parameters, trace, status, ended_at) "
        "SELECT 'noop', '', '{}', '{}', 'completed', clock_timestamp() - interval '3 hours' "
        f"FROM generate_series(1, {count})",
    )


async def execute(store, sql):
    async with store.transaction() as tx:
        return await tx.connection.execute(text(sql))


async def later(store, seconds):
    await execute(store, f"UPDATE task_notices SET due_at = due_at - make_interval(secs => {seconds})")


async def test_each_end_is_told_by_one_from_the_first_look_on(store):
    """If it failed, a receiver would hear of years of tasks, of some twice, or of none."""
    await ended(store)
    await join(store)
    await join(store)
    async with store.transaction() as tx:
        await tx.tasks.create(NewTask(provider="noop"))
    mine = [await ended(store, status) for status in (TaskStatus.COMPLETED, TaskStatus.FAILED)]
    found = await asyncio.gather(*(claim(store) for _ in range(5)))
    assert sorted(each for some in found for each in some) == [(task, 1) for task in mine]
    assert await claim(store) == []
    await join(store, ELSEWHERE)
    assert await claim(store, ELSEWHERE) == []
    mine = await ended(store)
    assert await claim(store, ELSEWHERE) == await claim(store) == [(mine, 1)]


async def test_what_was_not_told_is_tried_again_for_days(store):
    """If it failed, an end would be lost to a receiver that was away, or be told for ever."""
    await join(store)
    task = await ended(store)
    for number, pause in [(1, 30), (2, 60), (3, 120), (4, 240)]:
        assert await claim(store) == [(task, number)]
        await later(store, pause - 5)
        assert await claim(store) == []
        await later(store, 6)
    await execute(store, f"UPDATE task_notices SET attempts = {TRIES - 1}")
    assert await claim(store) == [(task, TRIES)]
    await later(store, 3590)
    assert await claim(store) == []
    await later(store, 3600)
    assert await claim(store) == []  # given up


async def test_what_was_told_is_forgotten_and_not_told_again(store):
    """If it failed, years of a worker's work would fill a table, or a restart would tell all of it again."""
    await join(store)
    tasks = [await ended(store) for _ in range(3)]
    assert len(await claim(store)) == 3
    async with store.transaction() as tx:
        for task in tasks[:2]:
            await tx.notices.delivered(HERE, task)
    for table, column in [("tasks", "ended_at"), ("webhooks", "since")]:
        await execute(store, f"UPDATE {table} SET {column} = {column} - interval '3 hours'")
    assert await claim(store) == []
    left = await execute(store, "SELECT task_id FROM task_notices")
    assert [row.task_id for row in left] == tasks[2:]
    await later(store, 60)
    assert await claim(store) == [(tasks[2], 2)]
    await later(store, 3600)
    async with store.transaction() as tx:
        await tx.notices.delivered(HERE, tasks[2])
    assert await claim(store) == []


async def test_two_who_look_at_the_same_time_pass_nothing_over(store):
    """If it failed, what ended while no worker ran would be lost where two of them start at once."""
    await ended_long_ago(store, 9)
    async with store.transaction() as one, asyncio.TaskGroup() as group:
        assert await one.notices.find(HERE, 3) == 3

        async def look():
            async with store.transaction() as two:
                return await two.notices.find(HERE, 3)

        other = group.create_task(look())
        await asyncio.sleep(0.3)  # it waits for what the first has noted
        await one.connection.commit()
    assert other.result() == 3
    assert [await look() for _ in range(3)] == [3, 3, 0]
    assert len(await claim(store)) == 9


async def test_a_look_does_not_go_through_the_ends_of_years(store):
    """If it failed, each worker would read the whole table of tasks every second."""
    await ended_long_ago(store, 20_000)
    await execute(store, "UPDATE webhooks SET since = clock_timestamp()")
    await execute(store, "ANALYZE tasks")
    plan = await execute(store, "EXPLAIN " + _FIND.replace("$1", f"'{HERE}'").replace("$2", "500"))
    assert "Index Cond: (ended_at >= (InitPlan" in "\n".join(line for (line,) in plan)


async def test_what_was_given_up_is_forgotten(store):
    """If it failed, what nobody took would be looked through for ever."""
    await join(store)
    await ended(store)
    assert len(await claim(store)) == 1
    await execute(store, f"UPDATE task_notices SET attempts = {TRIES}")
    for table, column in [("tasks", "ended_at"), ("webhooks", "since")]:
        await execute(store, f"UPDATE {table} SET {column} = {column} - interval '3 hours'")
    assert await claim(store) == []
    assert (await execute(store, "SELECT task_id FROM task_notices")).all() == []


async def test_a_task_that_somebody_put_back_keeps_no_other_from_being_told(store):
    """If it failed, one row that was changed by hand would silence a webhook."""
    await join(store)
    tasks = [await ended(store) for _ in range(3)]
    async with store.transaction() as tx:
        assert await tx.notices.find(HERE, 100) == 3
    await execute(store, f"UPDATE tasks SET status = 'created', ended_at = NULL WHERE id = {tasks[0]}")
    assert await claim(store) == [(task, 1) for task in tasks[1:]]
