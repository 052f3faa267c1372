"""Clients that live longer than the stack: they go on with it wherever it is started again."""

import asyncio
import json
import signal
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest

from client.api import Shiftwork
from client.rest.connections import Connections
from client.scheduler import AgentScheduler
from client.task_functions import TaskConnection, create_agent_task, get_agent_task_by_id
from shiftwork.contracts.agent import AgentConfiguration
from shiftwork.contracts.task import TaskStatus
from shiftwork.errors import StackError
from shiftwork.stack.dev import DevStack
from shiftwork.stack.file import require_stack
from shiftwork.store.agents import AgentDefinition
from tests.e2e.lab import eventually
from tests.e2e.support import (
    quick_environment,
    quick_settings,
    scripted,
    simple_feature,
    worker_process,
    write_cassette,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


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
            summary = json.loads((await asyncio.to_thread(loop.communicate, timeout=30))[0])
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
