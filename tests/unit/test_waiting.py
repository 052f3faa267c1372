"""Waiting for a task on what PostgreSQL tells, and on what anybody could say."""

import asyncio
import os
from dataclasses import replace

import asyncpg
import pytest

from client.patience import PatientStore
from client.waiting import TaskWatch
from shiftwork.contracts.task import TaskStatus
from shiftwork.settings import Settings
from shiftwork.stack.file import StackFile, write_stack
from shiftwork.store.migrate import migrate
from shiftwork.store.own import OwnStore
from shiftwork.store.run_statements import CHANNEL
from shiftwork.store.store import Store
from shiftwork.store.task_rows import NewTask, TaskOutcome

DONE = TaskOutcome(status=TaskStatus.COMPLETED, result="42\n", duration=0.5)


@pytest.mark.parametrize("own", [True, False], ids=["own server", "server of others, too"])
async def test_whoever_may_say_something_is_not_believed(database_url, own):
    """If it failed, a stranger on a shared server would have a client take a forged result for an agent's."""
    await migrate(database_url)
    connection = await asyncpg.connect(database_url)
    told: asyncio.Queue[str] = asyncio.Queue()
    await connection.add_listener(CHANNEL, lambda *message: told.put_nowait(message[-1]))
    async with Store(database_url, own_server=True) as telling, telling.transaction() as tx:
        example = await tx.tasks.create(NewTask(provider="noop"))
        begun = await tx.tasks.begin(example.id, "w", {})
        await tx.tasks.finish(example.id, begun.task.token, DONE)
    while "completed" not in (row := await asyncio.wait_for(told.get(), 100)):
        pass
    async with Store(database_url, own_server=own) as store:
        async with store.transaction() as tx:
            task = await tx.tasks.create(NewTask(provider="noop"))
        watch = TaskWatch(store, lambda: database_url)
        await watch.listen()
        waiting = asyncio.create_task(watch.ended(task.id))
        forged = row.replace(f"{example.id} ", f"{task.id} ", 1)
        while not waiting.done() and task.status is TaskStatus.CREATED:
            await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, forged)
            await asyncio.sleep(0.3)
            if not own:
                async with store.transaction() as tx:
                    begun = await tx.tasks.begin(task.id, "w", {})
                    outcome = DONE.model_copy(update={"result": "the agent's own\n"})
                    task = await tx.tasks.finish(task.id, begun.task.token, outcome)
        ended = await asyncio.wait_for(waiting, 100)
        assert (ended.id, ended.result) == ((example.id, "42\n") if own else (task.id, "the agent's own\n"))
        await watch.close()
    await connection.close()


async def test_a_store_of_a_running_stack_knows_whose_its_server_is(tmp_path, database_url):
    """If it failed, whoever has no SHIFTWORK_DATABASE_URL would take what a stack has for the stack's own."""
    settings = Settings(state=tmp_path)
    stack = StackFile(pid=os.getpid(), started_at="", namespace="default", database_url=database_url)
    for socket, own in [(None, False), ("/tmp/x", True)]:
        write_stack(settings, replace(stack, postgres_socket=socket))
        mine = OwnStore(settings=settings)
        assert (await mine.open()).own_server is own
        await mine.close()
        patient = PatientStore(settings)
        assert patient.own_server is own
        await patient.close()
