"""Registered agents of kinds with a backend, run as tasks: programs, a cassette, and Claude Code."""

import asyncio
import time
from collections.abc import Mapping

import pytest
import yaml
from pydantic import JsonValue

from shiftwork.contracts.agent import AgentConfiguration, RunLimits
from shiftwork.contracts.task import TaskErrorKind, TaskStatus
from shiftwork.errors import InvalidInput
from shiftwork.handoffs import HandoffContext, HandoffManager
from shiftwork.store.agents import AgentDefinition, AgentRow
from shiftwork.store.task_rows import TaskRow
from tests.e2e.agents import MODELS, shell
from tests.e2e.lab import Lab, eventually
from tests.e2e.support import WorkerProcess, processes_of
from tests.llm.programs import find_program_or_skip
from tests.llm.script import Answer, Fault, Reply, Turn, Usage
from tests.llm.server import LlmServer

COUNTS = """
python3 - <<'END'
import json, os, pathlib
told = json.loads(pathlib.Path(os.environ["SHIFTWORK_BRIEF"], "request.json").read_text())
count = ((told["handoff"] or {"state": {}})["state"].get("count", 0)) + told["parameters"]["step"]
left = {"summary": f"counted to {count}", "state": {"count": count}}
pathlib.Path(os.environ["SHIFTWORK_OUTBOX"], "handoff.json").write_text(json.dumps(left))
print(told["instruction"], "run", count)
print(sorted(os.listdir()))
END
"""

HUNGRY = "python3 -c 'import time; hold = bytes(1) * 400_000_000; time.sleep(60)'"


async def register(
    lab: Lab, name: str, kind: str, settings: Mapping[str, JsonValue], **config: object
) -> AgentRow:
    definition = AgentDefinition(
        kind=kind,
        description="Counts.",
        settings=dict(settings),
        config=AgentConfiguration.model_validate(config),
    )
    return await lab.shiftwork.register_agent(name, definition)


async def run(lab: Lab, agent: AgentRow, instruction: str = "", **more: object) -> TaskRow:
    task = await lab.shiftwork.run_agent(agent.id, instruction=instruction, **more)
    async with asyncio.timeout(150):
        return await lab.shiftwork.wait_task(task.id)


def command(script: str) -> dict[str, JsonValue]:
    return {"argv": ["sh", "-c", script.replace("{", "{{").replace("}", "}}")]}


async def test_a_program_goes_on_from_its_last_run(lab: Lab) -> None:
    """If it failed, a program could be no registered agent, or would begin from nothing each time."""
    agent = await register(lab, "a program", "command", command(COUNTS), parameters={"step": 2})
    first = await run(lab, agent, "please")
    second = await run(lab, agent, "again", parameters={"step": 3})
    assert (first.status, first.error, first.result) == (TaskStatus.COMPLETED, None, "please run 2\n[]")
    assert second.result == "again run 5\n[]"
    history = await HandoffManager(lab.shiftwork.store).load_handoff_history(agent.id)
    assert [(artifact.summary, context) for artifact, context in history] == [
        ("counted to 5", HandoffContext(state={"count": 5})),
        ("counted to 2", HandoffContext(state={"count": 2})),
    ]
    assert first.trace["sandbox"]
    assert not lab.settings.task_folder(second.id, 1).exists()


async def test_a_cassette_is_played(lab: Lab) -> None:
    """If it failed, agents of a schedule could not be tried without a model."""
    lab.folder.chmod(0o755)
    cassette = lab.folder / "cassette.yml"
    steps = [{"say": "first"}, {"run": "cat $SHIFTWORK_BRIEF/brief.md"}, {"say": "Nothing is new."}]
    steps += [{"handoff": {"summary": "looked", "state": {"seen": [1]}}}]
    cassette.write_text(yaml.safe_dump({"sessions": {"a player": [steps]}}))
    agent = await register(lab, "a player", "scripted", {"cassette": str(cassette)})
    task = await run(lab, agent, "Look.")
    assert (task.status, task.error, task.result) == (TaskStatus.COMPLETED, None, "Nothing is new.")
    context = await HandoffManager(lab.shiftwork.store).load_latest_handoff(agent.id)
    assert context == HandoffContext(state={"seen": [1]})


@pytest.mark.parametrize(
    ("script", "kind", "says", "result"),
    [
        ("echo half; exit 3", TaskErrorKind.FAILED, "exit status 3", "half"),
        ("echo half; setsid sleep 300 & sleep 300", TaskErrorKind.TIMEOUT, "its time was over", "half"),
        (f"echo half; {HUNGRY}", TaskErrorKind.LIMIT, "memory", "half"),
    ],
)
async def test_what_fails_says_why(
    lab: Lab, script: str, kind: TaskErrorKind, says: str, result: str
) -> None:
    """If it failed, nobody would learn why an agent failed, or something of it would live on."""
    agent = await register(lab, f"fails: {kind}", "command", command(script), limits=RunLimits(memory_mb=100))
    task = await run(lab, agent, timeout=3 if kind is TaskErrorKind.TIMEOUT else 30)
    assert (task.status, task.error_kind, task.result) == (TaskStatus.FAILED, kind, result)
    assert says in (task.error or "")
    await nothing_lives(lab)


async def test_a_cancelled_program_ends_with_all_it_started(lab: Lab) -> None:
    """If it failed, people could not end an agent that went astray, or not all of it."""
    agent = await register(lab, "astray", "command", command("echo on; setsid sleep 300 & sleep 300"))
    task = await lab.shiftwork.run_agent(agent.id)
    await eventually(lambda: _runs(lab, task.id))
    await asyncio.sleep(0.7)
    before = processes_of(lab.settings.state, "tasks/t")
    ended = await lab.shiftwork.cancel_task(task.id)
    assert (ended.status, ended.error_kind) == (TaskStatus.FAILED, TaskErrorKind.CANCELLED)
    assert ended.result == "on"
    assert before != []
    await nothing_lives(lab)
    assert not lab.settings.task_folder(task.id, 1).exists()


async def test_a_program_of_a_killed_worker_is_begun_anew(lab: Lab, shared_worker: WorkerProcess) -> None:
    """If it failed, a crash would lose a run, or leave a program and its folder behind."""
    agent = await register(lab, "killed program", "command", command("sleep 2; echo done"))
    task = await lab.shiftwork.run_agent(agent.id)
    await eventually(lambda: _runs(lab, task.id))
    await asyncio.sleep(0.7)
    shared_worker.kill()
    shared_worker.start()
    ended = await lab.shiftwork.wait_task(task.id)
    assert (ended.status, ended.attempt, ended.result) == (TaskStatus.COMPLETED, 2, "done")
    assert list(lab.settings.tasks.glob(f"t{task.id}-*")) == []


async def test_what_can_never_run_is_not_registered(lab: Lab) -> None:
    """If it failed, a mistake in an agent would show at its first run, at night."""
    with pytest.raises(InvalidInput, match="'nope' is not known; known are: acp, claude"):
        await register(lab, "nope", "nope", {})
    with pytest.raises(InvalidInput, match="argv"):
        await register(lab, "no program", "command", {})


class Claude:
    """Claude Code as a registered agent, with a scripted model."""

    def __init__(self, lab: Lab, server: LlmServer, name: str) -> None:
        self.lab, self.server, self.name = lab, server, name

    async def run(self, instruction: str, **settings: JsonValue) -> TaskRow:
        given: dict[str, JsonValue] = {
            "program": find_program_or_skip("claude"),
            "model": MODELS["claude"],
            "base_url": self.server.url,
            "environment": {"ANTHROPIC_API_KEY": "no-secret"},
        }
        agent = await register(self.lab, self.name, "claude", {**given, **settings})
        return await run(self.lab, agent, instruction)


async def test_claude_does_a_task(lab: Lab) -> None:
    """If it failed, a real agent could not be run by a schedule, or nobody would know what it cost."""
    find_program_or_skip("claude")
    left = '{"summary": "seen", "state": {"page": 2}}'

    def script(turn: Turn) -> Answer:
        if not turn.tools:
            return Reply("ok")
        if not turn.tool_results:
            made = f"env > all.env; echo '{left}' > $SHIFTWORK_OUTBOX/handoff.json; cat all.env"
            return shell(turn, made)
        return Reply("Two pages are new.", usage=Usage(input=1000, output=100))

    with LlmServer.in_thread(script) as server:
        task = await Claude(lab, server, "reader").run("Read the news.")
        assert (task.status, task.error, task.result) == (TaskStatus.COMPLETED, None, "Two pages are new.")
        told = [turn for turn in server.turns if turn.tools]
        assert "Read the news." in told[0].user_text
        assert "no-secret" not in str(told[-1].tool_results)
    usage = task.trace["usage"]
    assert isinstance(usage, dict)
    assert usage["output_tokens"] == 110
    assert isinstance(usage["cost_usd"], float)
    assert usage["cost_usd"] > 0
    context = await HandoffManager(lab.shiftwork.store).load_latest_handoff(task.agent_id or 0)
    assert context == HandoffContext(state={"page": 2})
    await nothing_lives(lab)


async def test_a_usage_limit_ends_a_task(lab: Lab) -> None:
    """If it failed, a task would wait for hours and hold its place, or say nothing of when to try again."""
    find_program_or_skip("claude")
    reset = int(time.time()) + 7_200
    limit = {"status": "rejected", "reset": str(reset), "representative-claim": "five_hour"}
    fault = Fault(429, headers={f"anthropic-ratelimit-unified-{key}": value for key, value in limit.items()})
    with LlmServer.in_thread(lambda _: fault) as server:
        login: dict[str, JsonValue] = {"CLAUDE_CODE_OAUTH_TOKEN": "no-secret"}
        task = await Claude(lab, server, "limited").run("Read the news.", environment=login)
    assert (task.status, task.error_kind) == (TaskStatus.FAILED, TaskErrorKind.RATE_LIMITED)
    assert time.strftime("until %Y-%m-%d %H:%M UTC", time.gmtime(reset)) in (task.error or "")


async def nothing_lives(lab: Lab) -> None:
    """No program of any task runs."""

    async def look() -> bool:
        return not processes_of(lab.settings.state, "tasks/t")

    await eventually(look, every=0.2)


async def _runs(lab: Lab, task_id: int) -> bool:
    return (await lab.shiftwork.task(task_id)).status is TaskStatus.RUNNING
