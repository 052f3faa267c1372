"""What runs of registered agents may touch, as their configurations say it."""

import uuid
from pathlib import Path

import pytest
from pydantic import JsonValue, ValidationError

from client.agents import check_definition
from shiftwork.contracts.agent import AgentConfiguration
from shiftwork.contracts.sandbox import SandboxOptions
from shiftwork.contracts.task import TaskErrorKind, TaskStatus
from shiftwork.errors import InvalidInput
from shiftwork.store.agents import AgentDefinition
from shiftwork.store.task_rows import TaskRow
from tests.e2e.lab import Lab

LOOKS = """
import os, sys
paths = {paths!r}
for path in paths:
    try:
        print(open(path).read().strip())
    except OSError as error:
        print(error.strerror)
print("proxy" if os.environ.get("HTTPS_PROXY") else "no proxy")
"""


def definition(kind: str, paths: list[str], sandbox: dict[str, JsonValue]) -> AgentDefinition:
    """An agent that looks at files."""
    config = AgentConfiguration.model_validate({"sandbox": sandbox, "timeout": 30})
    code = LOOKS.replace("{paths!r}", repr(paths))
    if kind == "python":
        return AgentDefinition(kind=kind, code=code, config=config)
    settings: dict[str, JsonValue] = {"argv": ["python3", "-c", code]}
    return AgentDefinition(kind=kind, settings=settings, config=config)


async def run(lab: Lab, kind: str, paths: list[Path], **sandbox: JsonValue) -> TaskRow:
    given = definition(kind, [str(path) for path in paths], sandbox)
    agent = await lab.shiftwork.register_agent(f"looks {uuid.uuid4().hex}", given)
    return await lab.shiftwork.wait_task((await lab.shiftwork.run_agent(agent.id)).id)


def lines(task: TaskRow) -> list[str]:
    assert (task.status, task.error) == (TaskStatus.COMPLETED, None)
    return (task.result or "").split("\n")[:3]


@pytest.mark.parametrize("kind", ["python", "command"])
async def test_a_run_sees_what_is_listed(lab: Lab, kind: str) -> None:
    """If it failed, an agent could not read what it is to look at, or could read everything."""
    lab.folder.chmod(0o755)
    listed, other = lab.folder / "listed.txt", lab.folder / "other.txt"
    for path in (listed, other):
        path.write_text("seen")
    strict = await run(lab, kind, [listed, other])
    assert "seen" not in lines(strict)
    some = await run(lab, kind, [listed, other], readable=[str(listed)])
    assert lines(some)[0] == "seen"
    assert lines(some)[1:] != ["seen", "no proxy"]
    everything = await run(lab, kind, [listed, other], profile="open")
    assert lines(everything) == ["seen", "seen", "no proxy"]
    networked = await run(lab, kind, [listed], profile="networked", hosts=["example.com"])
    assert lines(networked)[1] == "proxy"
    assert (everything.trace["sandbox"], some.trace["sandbox"]) == ("open", strict.trace["sandbox"])
    assert strict.trace["sandbox"] in ("bwrap", "landlock", "sandbox-exec")


@pytest.mark.parametrize("kind", ["python", "command"])
async def test_a_listed_path_that_is_not_there_fails_the_run(lab: Lab, kind: str) -> None:
    """If it failed, a run would begin without what it needs, or be tried for ever."""
    task = await run(lab, kind, [], readable=["/not/here"])
    assert (task.status, task.error_kind) == (TaskStatus.FAILED, TaskErrorKind.INVALID)
    assert (task.error or "").startswith("The path '/not/here', which 'sandbox' lists as readable, does not")


@pytest.mark.parametrize(
    ("sandbox", "says"),
    [
        ({"profile": "networked", "hosts": ["http://a"]}, "sandbox.hosts: The host pattern 'http://a'"),
        ({"hosts": ["a.example"]}, "has no effect in the profile 'strict'; give the profile networked too"),
    ],
    ids=["pattern", "profile"],
)
def test_hosts_that_can_not_be_reached_are_refused(sandbox: dict[str, JsonValue], says: str) -> None:
    """If it failed, a mistake in an agent would show at its first run, at night."""
    with pytest.raises(InvalidInput) as raised:
        check_definition(definition("python", [], sandbox))
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("sandbox", "says"),
    [
        ({"profil": "open"}, "profil"),
        ({"setup_hosts": ["*"]}, "no set-up commands"),
        ({"readable": ["relative"]}, "no absolute path"),
        ({"writable": ["/"]}, "use the profile 'open' instead"),
    ],
    ids=["unknown", "setup", "relative", "everything"],
)
def test_a_sandbox_that_can_not_be_is_refused(sandbox: dict[str, JsonValue], says: str) -> None:
    """If it failed, an agent would be held otherwise than its configuration says."""
    with pytest.raises(ValidationError, match=says):
        AgentConfiguration.model_validate({"sandbox": sandbox})


def test_an_agent_of_which_nothing_is_said_is_of_the_usual_kind() -> None:
    """If it failed, interpreters would wait for agents in vain."""
    assert AgentConfiguration().sandbox.options == SandboxOptions()
