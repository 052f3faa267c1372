"""Registered agents run as tasks, by a real worker of a real stack."""

import asyncio

import pytest

from client.executor import AgentExecutor
from client.tokens import api_token
from shiftwork.contracts.agent import AgentConfiguration
from shiftwork.contracts.task import TaskErrorKind, TaskStatus
from shiftwork.errors import Conflict, InvalidInput, NotFound
from shiftwork.handoffs import HandoffManager
from shiftwork.sandbox.choose import choose_sandbox
from shiftwork.store.agents import AgentDefinition
from shiftwork.store.task_rows import TaskOutcome

COUNTER = """
count = (handoff.state["count"] if handoff else 0) + parameters.get("step", 1)
print(f"run {count}")
save_handoff(state={"count": count}, summary=f"counted to {count}")
"""


@pytest.fixture
def name(request) -> str:
    return f"{request.node.name[:80]}"


async def register(lab, name, code, **config):
    definition = AgentDefinition(kind="python", code=code, config=AgentConfiguration(**config))
    return await lab.shiftwork.register_agent(name, definition)


async def runs(lab, task_id: int) -> None:
    async with asyncio.timeout(150):
        while (await lab.shiftwork.task(task_id)).status is not TaskStatus.RUNNING:  # noqa: ASYNC110 - rows
            await asyncio.sleep(0.02)


async def running_of(lab, agent):
    return await lab.shiftwork.tasks(agent=agent.id, statuses=[TaskStatus.RUNNING])


async def test_an_agent_goes_on_from_its_last_run(lab, name):
    """If it failed, an agent that runs each hour would begin from nothing each time."""
    agent = await register(lab, name, COUNTER, parameters={"step": 2})
    executor = AgentExecutor(timeout=30, shiftwork=lab.shiftwork)
    first = await executor.execute_agent(agent_id=agent.id)
    second = await executor.execute_agent(agent.id, session=None)
    assert (first["status"], first["result"], first["error"]) == ("completed", "run 2\n", None)
    assert second["result"] == "run 4\n"
    assert set(second) == {"status", "result", "error", "duration", "task_id"}
    history = await HandoffManager(lab.shiftwork.store).load_handoff_history(agent.id)
    assert [(a.task_id, a.summary) for a, _ in history] == [
        (second["task_id"], "counted to 4"),
        (first["task_id"], "counted to 2"),
    ]
    task = await lab.shiftwork.task(second["task_id"])
    assert (task.agent_version, task.attempt, task.status) == (1, 1, TaskStatus.COMPLETED)
    assert {"auto_started_at", "completed_at"} <= set(task.trace)
    assert task.trace["sandbox"] == choose_sandbox().level
    assert task.worker


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        ("print('half'); raise KeyError('price')", TaskErrorKind.FAILED, "KeyError: 'price'"),
        ("print('half', flush=True); import time; time.sleep(60)", TaskErrorKind.TIMEOUT, "2 s"),
    ],
)
async def test_a_run_that_fails_keeps_what_it_printed(lab, name, code, kind, says):
    """If it failed, nobody could see how far an agent came, or why it did not come further."""
    agent = await register(lab, name, code)
    ended = await AgentExecutor(timeout=2, shiftwork=lab.shiftwork).execute_agent(agent.id)
    assert (ended["status"], ended["result"]) == ("failed", "half\n")
    assert says in ended["error"]
    assert (await lab.shiftwork.task(ended["task_id"])).error_kind is kind


async def test_output_beyond_the_limit_is_cut(lab, name):
    """If it failed, one agent could fill the database."""
    agent = await register(lab, name, "print('x' * 100_000)")
    executor = AgentExecutor(timeout=30, max_output_size=1_000, shiftwork=lab.shiftwork)
    ended = await executor.execute_agent(agent.id)
    assert ended["status"] == "completed"
    assert 900 <= len(ended["result"]) < 1_200


async def test_the_stacks_own_token_is_not_kept(lab, name):
    """If it failed, whoever reads a task could command everything."""
    _, token = api_token(lab.settings)
    agent = await register(lab, name, f"print({token[::-1]!r}[::-1])")
    ended = await AgentExecutor(timeout=30, shiftwork=lab.shiftwork).execute_agent(agent.id)
    assert ended["result"].strip() == "[redacted:rest-api-token]"


async def test_what_can_not_be_run_makes_no_task(lab, name):
    """If it failed, a mistake would leave tasks that never run."""
    bare = await lab.shiftwork.register_agent(name, AgentDefinition(kind="python"))
    executor = AgentExecutor(shiftwork=lab.shiftwork)
    with pytest.raises(ValueError, match="has no code"):
        await executor.execute_agent(bare.id)
    with pytest.raises(ValueError, match="There is no agent 987654321"):
        await executor.execute_agent(987654321)
    assert await lab.shiftwork.tasks(agent=bare.id) == []


@pytest.mark.parametrize("timeout", [None, 0, -1, True, float("nan"), "5"])
def test_there_is_no_run_without_a_timeout(timeout):
    """If it failed, an agent could run for ever."""
    with pytest.raises(InvalidInput, match="timeout is"):
        AgentExecutor(timeout=timeout)


@pytest.mark.parametrize("size", [None, 0, True, "5", 2**40], ids=str)
def test_output_that_can_not_be_kept_is_refused_at_once(size):
    """If it failed, a program would learn only when it runs an agent that it never could."""
    with pytest.raises(InvalidInput, match="max_output_size is"):
        AgentExecutor(max_output_size=size)


async def test_an_agent_has_one_run_at_a_time(lab, name):
    """If it failed, two runs would go on from the same handoff, and one of them be lost."""
    agent = await register(lab, name, "import time; time.sleep(60)")
    first = await lab.shiftwork.run_agent(agent.id)
    with pytest.raises(Conflict, match=f"runs already \\(task {first.id}\\)"):
        await lab.shiftwork.run_agent(agent.id)
    assert [task.id for task in await lab.shiftwork.tasks(agent=agent.id)] == [first.id]
    await lab.shiftwork.cancel_task(first.id)


async def test_a_cancelled_task_has_failed(lab, name):
    """If it failed, nobody could end an agent that went astray, or it would count as completed."""
    agent = await register(lab, name, "import time; print('on', flush=True); time.sleep(60)")
    task = await lab.shiftwork.run_agent(name)
    await runs(lab, task.id)
    await asyncio.sleep(0.5)
    cancelled = await lab.shiftwork.cancel_task(task.id)
    assert (cancelled.status, cancelled.error_kind) == (TaskStatus.FAILED, TaskErrorKind.CANCELLED)
    assert cancelled.result == "on\n"
    assert await lab.shiftwork.cancel_task(task.id) == cancelled
    created = await lab.shiftwork.create_task(agent=agent.id)
    assert (await lab.shiftwork.cancel_task(created.id)).error_kind is TaskErrorKind.CANCELLED
    assert (await lab.shiftwork.task(created.id)).started_at is None


async def test_cancel_ends_the_task_that_was_named(lab, name):
    """If it failed, a person would end another run than the one that they mean."""
    agent = await register(
        lab, name, "import time; time.sleep(60)", schedule="0 3 * * *", overlap="allow_all"
    )
    await lab.shiftwork.trigger_schedule(agent.id)
    async with asyncio.timeout(150):
        while not (found := await running_of(lab, agent)):  # noqa: ASYNC110 - rows
            await asyncio.sleep(0.05)
    beside = await lab.shiftwork.run_agent(agent.id)
    await runs(lab, beside.id)
    assert (await lab.shiftwork.cancel_task(found[0].id)).error_kind is TaskErrorKind.CANCELLED
    assert (await lab.shiftwork.task(beside.id)).status is TaskStatus.RUNNING
    assert (await lab.shiftwork.cancel_task(beside.id)).error_kind is TaskErrorKind.CANCELLED
    await lab.shiftwork.delete_agent(agent.id)


async def test_a_run_that_nobody_can_begin_is_refused(lab, name):
    """If it failed, a caller would wait without end, or leave a task that runs later by surprise."""
    agent = await register(lab, name, "import time; time.sleep(20)")
    for timeout in (float("nan"), 0, -1, float("inf")):
        with pytest.raises(InvalidInput, match="timeout is"):
            await lab.shiftwork.run_agent(agent.id, timeout=timeout)
    task = await lab.shiftwork.run_agent(agent.id)
    await runs(lab, task.id)
    by_hand = TaskOutcome(status=TaskStatus.FAILED, error_kind=TaskErrorKind.FAILED)
    async with lab.shiftwork.store.transaction() as tx:
        await tx.tasks.move(task.id, by_hand)
    with pytest.raises(Conflict, match="is still being ended"):
        await lab.shiftwork.run_agent(agent.id)
    assert [row.id for row in await lab.shiftwork.tasks(agent=agent.id)] == [task.id]


async def test_a_request_runs_once(lab, name):
    """If it failed, a request that is sent again would be done again."""
    agent = await register(lab, name, COUNTER)
    key = f"request of {name}"
    first = await lab.shiftwork.run_agent(agent.id, request_key=key)
    ended = await lab.shiftwork.wait_task(first.id)
    again = await lab.shiftwork.run_agent(agent.id, request_key=key)
    assert (again.id, again.status) == (ended.id, TaskStatus.COMPLETED)
    other = await register(lab, f"other {name}", COUNTER)
    for others in (
        lab.shiftwork.run_agent(other.id, request_key=key),
        lab.shiftwork.create_task("noop", request_key=key),
    ):
        with pytest.raises(Conflict, match=f"is task {first.id}'s already"):
            await others
    assert await lab.shiftwork.tasks(agent=other.id) == []


async def test_a_run_that_was_ended_by_hand_is_one_line_in_the_log(lab, name, stack):
    """If it failed, each ordinary cancellation would look like a fault of the worker."""
    agent = await register(lab, name, "import time; time.sleep(1.5); print('ran')")
    task = await lab.shiftwork.run_agent(agent.id)
    await runs(lab, task.id)
    by_hand = TaskOutcome(status=TaskStatus.FAILED, error_kind=TaskErrorKind.FAILED)
    async with lab.shiftwork.store.transaction() as tx:
        ended = await tx.tasks.move(task.id, by_hand)
    workflow = (await lab.shiftwork.temporal()).get_workflow_handle(f"agent-{agent.id}")
    async with asyncio.timeout(150):
        assert (await workflow.result())["status"] == "failed"
    assert await lab.shiftwork.task(task.id) == ended
    log = (stack.state / "worker.log").read_text()
    told = log[log.index(f"an attempt at task {task.id} is over: ") :].splitlines()
    assert f"Task {task.id} is failed" in told[0]
    assert not any(line.startswith("Traceback") for line in told[1:3])


@pytest.mark.parametrize(
    ("provider", "parameters", "status", "says"),
    [
        ("noop", {}, TaskStatus.COMPLETED, None),
        ("noop", {"fail": "No."}, TaskStatus.FAILED, "No."),
        ("nope", {}, TaskStatus.FAILED, "The provider 'nope' is not known; known are: agent, "),
    ],
)
async def test_a_provider_processes_its_tasks(lab, provider, parameters, status, says):
    """If it failed, an instruction would be lost, or a provider's failure count as success."""
    task = await lab.shiftwork.create_task(provider, "do it", parameters=parameters)
    assert task.status is TaskStatus.CREATED
    await lab.shiftwork.start_task(task.id)
    ended = await lab.shiftwork.wait_task(task.id)
    assert ended.status is status
    assert says is None or says in ended.error
    with pytest.raises(Conflict, match=f"Task {task.id} is {status} already"):
        await lab.shiftwork.start_task(task.id)


async def test_what_a_task_names_must_fit(lab, name):
    """If it failed, a task would be made that nobody can run."""
    with pytest.raises(InvalidInput, match="names an agent"):
        await lab.shiftwork.create_task()
    with pytest.raises(InvalidInput, match="names an agent"):
        await lab.shiftwork.create_task("noop", agent=1)
    with pytest.raises(NotFound, match="no agent"):
        await lab.shiftwork.create_task(agent=name)


async def test_many_agents_run_at_once(lab, name):
    """If it failed, agents would wait for one another, or get one another's results."""
    agents = [await register(lab, f"{name} {n}", f"print({n})") for n in range(6)]
    executor = AgentExecutor(timeout=60, shiftwork=lab.shiftwork)
    ended = await asyncio.gather(*(executor.execute_agent(agent.id) for agent in agents))
    assert [one["result"] for one in ended] == [f"{n}\n" for n in range(6)]
