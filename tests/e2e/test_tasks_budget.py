"""What runs of registered agents may spend, and what their rows say that they spent."""

import uuid

import pytest
from pydantic import JsonValue

from client.cli.task_pages import page
from client.rest.answering_tasks import Task
from shiftwork.contracts.agent import AgentConfiguration
from shiftwork.contracts.task import TaskErrorKind, TaskStatus, TaskUsage
from shiftwork.store.agents import AgentDefinition
from shiftwork.store.task_rows import TaskRow
from tests.e2e.lab import Lab, eventually
from tests.e2e.support import WorkerProcess
from tests.llm.script import Reply, Turn, Usage
from tests.llm.server import LlmServer

ASKS = """
import json, os, sys, time, urllib.error, urllib.request
body = json.dumps({"model": "unknown-1", "messages": [{"role": "user", "content": "well?"}]}).encode()
where = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
key = {"authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "content-type": "application/json"}
for number in range(int(sys.argv[1])):
    try:
        urllib.request.urlopen(urllib.request.Request(where, body, key)).read()
    except urllib.error.HTTPError as error:
        print("refused with", error.code)
        time.sleep(float(sys.argv[2]))
        sys.exit(0)
    print("asked", number + 1)
time.sleep(float(sys.argv[2]))
"""
"""Asks so many times, and takes it for a success when it is refused; waits at its end."""


def answer(_: Turn) -> Reply:
    return Reply("yes", usage=Usage(input=90, output=10))


async def started(lab: Lab, server: LlmServer, times: int, wait: float = 0, **config: JsonValue) -> TaskRow:
    """A run of a program that asks; a hundred tokens cost ten cents."""
    settings: dict[str, JsonValue] = {
        "argv": ["python3", "-c", ASKS.replace("{", "{{").replace("}", "}}"), str(times), str(wait)],
        "provider": "openai",
        "base_url": f"{server.url}/v1",
        "environment": {"OPENAI_API_KEY": "no-secret"},
    }
    prices = {"input": 1_000.0, "output": 1_000.0}
    configuration = AgentConfiguration.model_validate({"timeout": 60, "prices": prices, **config})
    definition = AgentDefinition(kind="command", settings=settings, config=configuration)
    agent = await lab.shiftwork.register_agent(f"spends {uuid.uuid4().hex}", definition)
    return await lab.shiftwork.run_agent(agent.id)


async def run(lab: Lab, server: LlmServer, times: int, wait: float = 0, **config: JsonValue) -> TaskRow:
    """The same, to its end."""
    return await lab.shiftwork.wait_task((await started(lab, server, times, wait, **config)).id)


async def test_a_run_within_its_budget_tells_what_it_spent(lab: Lab) -> None:
    """If it failed, nobody would know what a run cost, or it would be ended for nothing."""
    with LlmServer.in_thread(answer) as server:
        task = await run(lab, server, 2, budget_usd=0.5, budget_tokens=500)
    assert (task.status, task.error, task.result) == (TaskStatus.COMPLETED, None, "asked 1\nasked 2")
    assert task.usage is not None
    assert (task.usage.calls, task.usage.tokens, task.usage.cost_usd) == (2, 200, 0.2)
    assert not task.usage.estimated
    assert task.trace["usage"] == task.usage.model_dump(mode="json")
    assert Task.of(task).usage == task.usage
    assert "$0.20, 200 tokens" in page(task)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"budget_usd": 0.2}, "$0.20 of $0.20."),
        ({"budget_tokens": 200}, "200 of 200 tokens."),
    ],
    ids=["usd", "tokens"],
)
async def test_a_spent_budget_refuses_the_next_question(lab: Lab, config: dict, says: str) -> None:
    """If it failed, a run would spend beside its budget, or count as done that could not do its work."""
    with LlmServer.in_thread(answer) as server:
        task = await run(lab, server, 5, **config)
        assert len(server.turns) == 2
    assert (task.status, task.error_kind) == (TaskStatus.FAILED, TaskErrorKind.BUDGET)
    assert task.error == f"The budget of this run is spent: {says}"
    assert task.result == "asked 1\nasked 2\nrefused with 402"
    assert task.usage is not None
    assert task.usage.tokens == 200


async def test_more_than_the_budget_ends_the_run(lab: Lab) -> None:
    """If it failed, a run that spent too much would hold its place until its time is over."""
    with LlmServer.in_thread(answer) as server:
        task = await run(lab, server, 5, 250, budget_tokens=150, timeout=280)
    assert (task.status, task.error_kind) == (TaskStatus.FAILED, TaskErrorKind.BUDGET)
    assert task.error == "The budget of this run is spent: 200 of 150 tokens."
    assert (task.duration or 0) < 150


async def test_what_a_lost_attempt_spent_counts(lab: Lab, shared_worker: WorkerProcess) -> None:
    """If it failed, each crash of a worker would give a run its whole budget again."""
    with LlmServer.in_thread(answer) as server:
        task = await started(lab, server, 1, 4, budget_tokens=100)
        await eventually(lambda: _spent(lab, task.id))
        shared_worker.kill()
        shared_worker.start()
        ended = await lab.shiftwork.wait_task(task.id)
        asked = len(server.turns)
    assert (ended.attempt, asked, ended.error_kind) == (2, 1, TaskErrorKind.BUDGET)
    assert ended.error == "The budget of this run is spent: 100 of 100 tokens."


async def _spent(lab: Lab, task_id: int) -> bool:
    return (await lab.shiftwork.task(task_id)).usage not in (None, TaskUsage())
