"""How far a run is, in its task's trace, while it goes on."""

import asyncio
import uuid

import pytest
from pydantic import JsonValue

from client.tokens import api_token
from shiftwork.contracts.agent import AgentConfiguration
from shiftwork.contracts.task import TaskErrorKind, TaskStatus
from shiftwork.store.agents import AgentDefinition
from tests.e2e.lab import Lab

CODE = """
import os, time
def until(name):
    for _ in range(1_000):
        if os.path.exists(f"{parameters['folder']}/{name}"): return
        time.sleep(0.1)
    raise TimeoutError(name)
progress(0.25)
until("one")
progress({"pages": 2, "of": 3})
until("two")
progress(parameters["token"][::-1])
print("done")
"""

OF_A_PROGRAM = """
import json, os
def progress(told):
    path = os.environ["SHIFTWORK_OUTBOX"] + "/progress.json"
    with open(path + ".new", "w") as file:
        json.dump(told, file)
    os.replace(path + ".new", path)
with open(os.environ["SHIFTWORK_BRIEF"] + "/request.json") as file:
    parameters = json.load(file)["parameters"]
"""

REDACTED = "[redacted:rest-api-token]"


def definition(kind: str, folder: str, token: str) -> AgentDefinition:
    """One that says how far it is, and goes on when there are files."""
    parameters: dict[str, JsonValue] = {"folder": folder, "token": token[::-1]}
    config = AgentConfiguration.model_validate(
        {"timeout": 110, "sandbox": {"readable": [folder]}, "parameters": parameters}
    )
    if kind == "python":
        return AgentDefinition(kind=kind, code=CODE, config=config)
    program = f"{OF_A_PROGRAM}{CODE}".replace("{", "{{").replace("}", "}}")
    return AgentDefinition(kind=kind, settings={"argv": ["python3", "-c", program]}, config=config)


@pytest.mark.parametrize("kind", ["python", "command"])
async def test_it_is_in_the_trace_while_the_run_goes_on(lab: Lab, kind: str) -> None:
    """If it failed, people would see of a run of hours only its end; or read a secret there."""
    lab.folder.chmod(0o755)
    folder, (_, token) = str(lab.folder), api_token(lab.settings)
    agent = await lab.shiftwork.register_agent(f"tells {uuid.uuid4().hex}", definition(kind, folder, token))
    task = await lab.shiftwork.run_agent(agent.id)
    steps, seen = iter(("one", "two")), []
    async with asyncio.timeout(110):
        async for row in lab.shiftwork.task_changes(task.id):
            told = row.trace.get("progress")
            if told is not None and told not in seen:
                seen.append(told)
                if not row.status.ended and (step := next(steps, None)):
                    (lab.folder / step).touch()
    assert (row.status, row.error) == (TaskStatus.COMPLETED, None)
    assert seen == [0.25, {"pages": 2, "of": 3}, REDACTED]


async def test_a_run_that_was_cancelled_had_come_so_far(lab: Lab) -> None:
    """If it failed, whoever cancels a run would not learn what it had done."""
    lab.folder.chmod(0o755)
    agent = await lab.shiftwork.register_agent(
        f"tells {uuid.uuid4().hex}", definition("python", str(lab.folder), "x")
    )
    task = await lab.shiftwork.run_agent(agent.id)
    async with asyncio.timeout(110):
        async for row in lab.shiftwork.task_changes(task.id):
            if "progress" in row.trace:
                break
    ended = await lab.shiftwork.cancel_task(task.id)
    assert (ended.error_kind, ended.trace["progress"]) == (TaskErrorKind.CANCELLED, 0.25)
