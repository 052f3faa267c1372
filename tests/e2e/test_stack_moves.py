"""Clients that live longer than the stack: they go on with it wherever it is started again."""

import asyncio
import json
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from client.api import Shiftwork
from client.rest.connections import Connections
from client.scheduler import AgentScheduler
from client.task_functions import TaskConnection, create_agent_task, get_agent_task_by_id
from shiftwork.contracts.agent import AgentConfiguration, Overlap
from shiftwork.contracts.task import TaskStatus
from shiftwork.errors import StackError
from shiftwork.stack.dev import DevStack
from shiftwork.stack.file import read_stack, require_stack
from shiftwork.store.agents import AgentDefinition
from tests.e2e.lab import eventually
from tests.e2e.support import (
    WorkerProcess,
    quick_environment,
    quick_settings,
    scripted,
    simple_feature,
    worker_process,
    write_cassette,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

NARROW_SECONDS = 10
"""For how long the agent that makes up for least does so."""


@pytest.fixture
def settings(tmp_path):
    return quick_settings(tmp_path / "state")


@asynccontextmanager
async def running(settings):
    """The stack with a worker, until the end of the block."""
    async with DevStack(settings):
        state = settings.state
        with worker_process(quick_environment(state), state / "worker.log") as worker:
            yield require_stack(settings).temporal_address
            worker.stop()


async def test_every_client_goes_on_with_a_stack_that_was_started_again(settings, tmp_path):
    """If it failed, whatever runs for days would do nothing any more once the stack was started anew."""
    scheduler = AgentScheduler(settings, interval=0.5)
    summary = stop = None
    environment = quick_environment(settings.state, SHIFTWORK_AGENT_RUNNER_ENABLED="true")
    argv = [sys.executable, "-P", "-m", "client", "tasks", "run", "--loop", "--interval", "0.3", "--json"]
    async with running(settings) as before:
        shiftwork = await Shiftwork(settings).__aenter__()
        rest = Connections(settings)
        functions = await asyncio.to_thread(TaskConnection, settings)
        config = AgentConfiguration(timeout=20)
        definition = AgentDefinition(kind="python", code="print('ran')", config=config)
        agent = await shiftwork.register_agent("long", definition)
        await scheduler.start()
        assert (await scheduler.execute_now(agent.id))["result"] == "ran\n"
        first = await shiftwork.create_task("noop", "before")
        log = (tmp_path / "loop.log").open("wb")
        loop = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=log)  # noqa: ASYNC220
        assert (await shiftwork.wait_task(first.id)).status is TaskStatus.COMPLETED
        assert (await (await rest.get()).task(first.id)).id == first.id
    try:
        with pytest.raises(StackError):  # one sentence, and no error of the SDK's
            await scheduler.schedule_agent(agent.id, "0 5 * * *")
        waiting = asyncio.create_task(shiftwork.wait_task(first.id + 1))
        await asyncio.sleep(1)
        waiting.cancel()
        async with running(settings) as after:
            assert before != after
            again = await shiftwork.create_task("noop", "after")
            async with asyncio.timeout(120):
                assert (await shiftwork.wait_task(again.id)).status is TaskStatus.COMPLETED  # by the loop
                assert (await scheduler.execute_now(agent.id))["result"] == "ran\n"
                info = await scheduler.schedule_agent(agent.id, "0 5 * * *")
                assert info.schedule == "0 5 * * *"
                assert (await (await rest.get()).run_agent(agent.id)).agent_id == agent.id
                made = await asyncio.to_thread(create_agent_task, functions, "u", "noop", "by a function")
                await eventually(
                    lambda: asyncio.to_thread(lambda: get_agent_task_by_id(functions, made.id).status.ended)
                )
                options = scripted(write_cassette(tmp_path / "c.yml", [simple_feature("a")], {}))
                project = await shiftwork.create("p", "Write.", repository=tmp_path / "r", options=options)
                await shiftwork.open(project.id)
                assert await shiftwork.running(project.id)
                await shiftwork.abandon(project.id)
            stop = loop
            loop.send_signal(signal.SIGINT)
            summary = json.loads((await asyncio.to_thread(loop.communicate, timeout=150))[0])
    finally:
        if stop is None:
            loop.kill()
            loop.communicate()
        log.close()
        await scheduler.stop()
        await rest.close()
        await shiftwork.__aexit__(None, None, None)
        await asyncio.to_thread(functions.close)
    assert summary["tasks_completed"] >= 2


def dev(settings, log):
    """The stack alone, as people start it."""
    argv = [sys.executable, "-P", "-m", "client", "dev", "--no-worker"]
    environment = quick_environment(settings.state)
    return subprocess.Popen(argv, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)


async def new_address(settings, before):
    async def found():
        stack = read_stack(settings)
        return stack and stack.temporal_address != before and stack.temporal_address

    return await eventually(found, 90)


async def runs_a_task(settings):
    async with Shiftwork(settings) as shiftwork:
        task = await shiftwork.create_task("noop", "here")
        await shiftwork.start_task(task.id)
        return await asyncio.wait_for(shiftwork.wait_task(task.id), 150)


async def test_a_worker_goes_on_with_a_stack_that_was_killed_and_started_again(settings, tmp_path):
    """If it failed, a worker that runs for days would ask a server that is gone, and do nothing any more."""
    worker = WorkerProcess(quick_environment(settings.state), tmp_path / "worker.log")
    stacks = []
    with (tmp_path / "dev.log").open("wb") as log:
        try:
            stacks.append(dev(settings, log))
            first = await new_address(settings, None)
            worker.start()
            assert (await runs_a_task(settings)).status is TaskStatus.COMPLETED
            stacks[0].kill()
            stacks[0].wait()
            stacks.append(dev(settings, log))
            await new_address(settings, first)
            assert (await runs_a_task(settings)).status is TaskStatus.COMPLETED
            assert worker.stop() == 0
        finally:
            worker.kill()
            for each in stacks:
                each.terminate()
                each.wait(timeout=150)
    assert "the stack was started again" in (tmp_path / "worker.log").read_text()


async def register_each_other_second(shiftwork, name, catch_up):
    """An agent of which every occurrence runs that is not missed."""
    config = AgentConfiguration(
        schedule="@every 2s", catch_up_seconds=catch_up, overlap=Overlap.BUFFER_ALL, retries=100
    )
    definition = AgentDefinition(kind="python", code="print('ran')", config=config)
    return await shiftwork.register_agent(name, definition)


async def test_what_was_due_while_the_stack_was_away_is_made_up_for_within_its_time(settings):
    """If it failed, runs of the night would be lost, or hours later a flood of runs nobody wants begin."""
    async with running(settings), Shiftwork(settings) as shiftwork:
        wide = await register_each_other_second(shiftwork, "wide", 600)
        narrow = await register_each_other_second(shiftwork, "narrow", NARROW_SECONDS)
        for agent in (wide, narrow):
            await eventually(lambda ref=agent.id: shiftwork.tasks(agent=ref), 90)
    await asyncio.sleep(NARROW_SECONDS + 4)
    async with running(settings), Shiftwork(settings) as shiftwork:
        back = datetime.now(UTC)
        for agent, some_are_missed in ((wide, False), (narrow, True)):

            async def goes_on(ref=agent.id):
                return (await shiftwork.tasks(agent=ref, limit=1))[0].scheduled_at > back

            await eventually(goes_on, 90)
            await shiftwork.pause_schedule(agent.id)

            async def rests(ref=agent.id):  # the last may just have begun
                tasks = await shiftwork.tasks(agent=ref, limit=1_000)
                begun = (await shiftwork.schedule(ref)).runs
                return len(tasks) == begun and all(task.status.ended for task in tasks)

            await eventually(rests, 90)
            tasks = await shiftwork.tasks(agent=agent.id, limit=1_000)
            assert {task.status for task in tasks} == {TaskStatus.COMPLETED}
            moments = [task.scheduled_at for task in tasks]
            assert len(set(moments)) == len(moments)
            since = (max(moments) - min(moments)) // timedelta(seconds=2) + 1
            info = await shiftwork.schedule(agent.id)
            assert (info.runs, info.skipped, info.missed) == (len(tasks), 0, since - len(tasks))
            assert (info.missed > 0) is some_are_missed
