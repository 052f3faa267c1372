"""What holds of a run where nobody says anything, and what an agent's configuration says instead."""

import inspect
from datetime import timedelta

import pytest

from client.executor import AgentExecutor, execute_agent_by_id
from shiftwork.contracts.agent import AgentConfiguration
from shiftwork.contracts.task import TaskErrorKind, TaskStatus
from shiftwork.handoffs import HandoffContext, HandoffManager
from shiftwork.resources import ResourceLimits
from shiftwork.store.agents import AgentDefinition

MEGABYTE = 1_048_576


async def register(lab, request, code, **config):
    """A new agent."""
    definition = AgentDefinition(kind="python", code=code, config=AgentConfiguration(**config))
    return await lab.shiftwork.register_agent(request.node.name[:80], definition)


def test_limits_are_those_that_were_promised():
    """If it failed, a run that nobody bounds would be bounded otherwise than the documents say."""
    executor, config = AgentExecutor(), AgentConfiguration()
    assert (executor.timeout, executor.max_output_size) == (300, MEGABYTE)
    assert inspect.signature(execute_agent_by_id).parameters["timeout"].default == 300
    assert (config.timeout, config.max_output_bytes, config.handoff_ttl_days) == (300, MEGABYTE, 30)
    assert ResourceLimits() == ResourceLimits(
        max_memory_mb=256, max_cpu_percent=50.0, max_concurrent_agents=5, max_execution_time=300
    )


async def test_a_megabyte_of_output_is_kept(lab, request):
    """If it failed, an agent's report would be lost, or one agent could fill the database."""
    agent = await register(lab, request, "import sys\nfor _ in range(2_000): sys.stdout.write('x' * 1_000)")
    ended = await AgentExecutor(shiftwork=lab.shiftwork).execute_agent(agent.id)
    assert ended["status"] == "completed"
    size = len(ended["result"].encode())
    assert MEGABYTE - 1_000 < size <= MEGABYTE
    assert ended["result"].count("x") > MEGABYTE - 1_000


async def test_a_handoff_lasts_thirty_days_and_ten_are_history(lab, request):
    """If it failed, an agent would forget too early, or read more than it asked for."""
    agent = await register(lab, request, "pass")
    manager = HandoffManager(lab.shiftwork.store)
    for number in range(12):
        saved = await manager.save_handoff(agent.id, None, HandoffContext(state={"n": number}), "")
        assert abs(saved.expires_at - saved.created_at - timedelta(days=30)) < timedelta(minutes=1)
    history = await manager.load_handoff_history(agent.id)
    assert [context.state["n"] for _, context in history] == list(range(11, 1, -1))


async def test_a_run_has_the_time_that_its_configuration_says(lab, request):
    """If it failed, an agent that hangs would run for five minutes, whatever it was registered with."""
    agent = await register(
        lab, request, "import time; print('began', flush=True); time.sleep(120)", timeout=3
    )
    task = await lab.shiftwork.run_agent(agent.id)
    ended = await lab.shiftwork.wait_task(task.id)
    assert (ended.status, ended.error_kind) == (TaskStatus.FAILED, TaskErrorKind.TIMEOUT)
    assert "3 s" in ended.error
    assert ended.result == "began\n"


@pytest.mark.parametrize(
    ("limits", "code", "says"),
    [
        ({"open_files": 64}, "held = [open('/dev/null') for _ in range(200)]", "limit open_files of 64"),
        ({"file_size_mb": 1}, "open('large', 'wb').write(bytes(3_000_000))", "limit file_size_mb of 1"),
    ],
    ids=["open_files", "file_size_mb"],
)
async def test_a_run_has_the_limits_that_its_configuration_says(lab, request, limits, code, says):
    """If it failed, an agent could take more of the machine than it was registered with."""
    agent = await register(lab, request, code, limits=limits)
    ended = await lab.shiftwork.wait_task((await lab.shiftwork.run_agent(agent.id)).id)
    assert ended.status is TaskStatus.FAILED
    assert says in ended.error
    await lab.shiftwork.change_agent(agent.id, AgentDefinition(kind="python", code=code))
    freed = await lab.shiftwork.wait_task((await lab.shiftwork.run_agent(agent.id)).id)
    assert (freed.status, freed.error) == (TaskStatus.COMPLETED, None)
