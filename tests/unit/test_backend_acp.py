"""The ACP backend with a tiny real agent, for the cases that no large one shows at will."""

import asyncio
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from shiftwork.agents.acp import AcpBackend
from shiftwork.agents.events import AgentEvent, AgentEventKind, Problem
from shiftwork.agents.protocol import AgentRequest, Conversation
from shiftwork.agents.registry import find_backend
from shiftwork.agents.run import AgentEnd, run_agent_process
from shiftwork.contracts.session import FailureKind, RunStatus, Spent
from shiftwork.errors import InvalidInput
from shiftwork.sandbox.choose import choose_sandbox

AGENT = Path(__file__).with_name("acp_agent.py")


@dataclass
class Ran:
    end: AgentEnd
    workspace: Path
    events: list[AgentEvent] = field(default_factory=list)

    def of(self, kind: AgentEventKind) -> list[AgentEvent]:
        return [event for event in self.events if event.kind is kind]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.of(AgentEventKind.TEXT))

    @property
    def last(self) -> AgentEvent:
        return self.events[-1]


async def run(folder: Path, does: str, prompt: str = "hello", *, stop_at: str = "", **more: Any) -> Ran:
    """Have the tiny agent do something; more are settings, or fields of the request."""
    workspace, outbox, brief = (folder / name for name in ("workspace", "outbox", "brief"))
    for made in (workspace, outbox, brief):
        made.mkdir(exist_ok=True)
    fields = {name: more.pop(name) for name in ("conversation", "system_prompt") if name in more}
    argv = more.pop("argv", [sys.executable, str(AGENT), does])
    request = AgentRequest(
        workspace, prompt, outbox=outbox, brief=brief, home=folder, settings={"argv": argv, **more}, **fields
    )
    events: list[AgentEvent] = []
    stop = asyncio.Event()

    async def listen(event: AgentEvent) -> None:
        events.append(event)
        if stop_at and stop_at in event.text:
            stop.set()

    end = await run_agent_process(
        AcpBackend(), request, env={}, sandbox=choose_sandbox(), timeout=250, on_event=listen, stop=stop
    )
    return Ran(end, workspace, events)


async def test_a_turn(tmp_path):
    """If it failed, agents would not be told what to do, where, and by which model."""
    ran = await run(tmp_path, "echoes", system_prompt="Be brief.", model="large")
    assert [event.kind.value for event in ran.events] == ["started", "text", "finished"]
    assert ran.events[0].conversation == "new-1"
    assert ran.text == f"Be brief.\n\nhello [large] in {ran.workspace}"
    assert ran.end.status is RunStatus.COMPLETED


async def test_what_is_done_is_told(tmp_path):
    """If it failed, transcripts and costs of ACP agents would be wrong."""
    ran = await run(tmp_path, "works")
    told = [(event.kind.value, event.text, event.ok) for event in ran.events if event.text]
    assert told == [
        ("thinking", "Let me see.", False),
        ("tool_use", "shell", False),
        ("tool_result", "a.txt", True),
        ("tool_use", "fetch", False),
        ("tool_result", '{"error": "no net"}', False),
        ("text", "Done.", False),
    ]
    assert ran.of(AgentEventKind.TOOL_USE)[0].data == {
        "call": "c1",
        "kind": "execute",
        "input": {"command": "ls"},
    }
    spent = ran.of(AgentEventKind.USAGE)
    assert sum(event.cost_usd or 0 for event in spent) == 0.75
    assert (spent[-1].input_tokens, spent[-1].output_tokens, spent[-1].cache_read_tokens) == (10, 5, 3)


@pytest.mark.parametrize(("mode", "chosen"), [(None, "id-allow_once"), ("reject", "id-reject_once")])
async def test_leave_is_given_or_refused(tmp_path, mode, chosen):
    """If it failed, an agent would wait for a person for ever, or do what it was forbidden."""
    ran = await run(tmp_path, "asks", permission_mode=mode)
    assert ran.text == chosen


async def test_files_stay_inside(tmp_path):
    """If it failed, an agent could have the bridge read and write files outside of its workspace."""
    workspace, outside = tmp_path / "workspace", tmp_path / "outside"
    workspace.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("s")
    (workspace / "out").symlink_to(outside)
    (workspace / "hole").symlink_to(outside / "new")
    operations = [
        ["write", f"{workspace}/a/b.txt", "one"],
        ["read", f"{workspace}/a/b.txt"],
        ["write", f"{tmp_path}/outbox/handoff.json", "{}"],
        ["write", f"{tmp_path}/brief/brief.md", "changed"],
        ["read", f"{workspace}/out/secret"],
        ["write", f"{workspace}/hole", "x"],
        ["read", f"{workspace}/../outside/secret"],
        ["read", "a/b.txt"],
        ["read", f"{workspace}/a"],
        ["read", f"{workspace}/none"],
    ]
    ran = await run(tmp_path, "files", json.dumps(operations))
    said = json.loads(ran.text)
    assert said[:3] == ["ok", "one", "ok"]
    assert all("is not an absolute path in the workspace" in answer for answer in said[3:8])
    assert "not a regular file" in said[8]
    assert "not found" in said[9]
    assert [path.name for path in outside.iterdir()] == ["secret"]


async def test_terminals(tmp_path):
    """If it failed, agents that leave running commands to their client could run none."""
    ran = await run(tmp_path, "runs", "echo out; echo err >&2; exit 3")
    assert json.loads(ran.text) == [3, "out\nerr\n", "SIGKILL"]


async def test_a_stop_cancels_the_turn(tmp_path):
    """If it failed, an agent would be killed in the middle of a write, or its pause cost an attempt."""
    ran = await run(tmp_path, "waits", stop_at="waiting")
    assert ran.end.status is RunStatus.INTERRUPTED
    assert ran.end.stopped
    assert (ran.workspace / "cancelled").exists()
    assert ran.end.duration < 150


@pytest.mark.parametrize(
    ("reason", "problem"),
    [
        ("refusal", Problem.REFUSED),
        ("max_turn_requests", Problem.LIMIT),
        ("cancelled", None),
    ],
)
async def test_only_the_end_of_a_turn_is_success(tmp_path, reason, problem):
    """If it failed, a refusal would count as work that was done, or as a crash."""
    ran = await run(tmp_path, "ends", reason)
    assert (ran.last.kind, ran.last.ok, ran.last.problem) == (AgentEventKind.FINISHED, False, problem)
    assert ran.end.status is RunStatus.FAILED
    assert ran.end.message


async def test_an_agent_that_dies(tmp_path):
    """If it failed, a session would hang on a dead agent, or hide why it died."""
    ran = await run(tmp_path, "dies")
    assert ran.end.failure.kind is FailureKind.AGENT_FAILED
    assert ran.text == "so far"
    assert ran.last.text == "The agent ended with status 3 before its turn was over.\nout of luck"
    assert ran.end.duration < 150


async def test_other_output_is_passed_over(tmp_path):
    """If it failed, one stray line of an agent would end its session."""
    ran = await run(tmp_path, "babbles")
    assert ran.text == "still here"
    assert ran.end.status is RunStatus.COMPLETED


async def test_an_error_says_its_details(tmp_path):
    """If it failed, people would read "Internal error" and nothing else."""
    ran = await run(tmp_path, "breaks")
    assert ran.end.message == "Internal error: the model is gone"


async def test_nobody_logged_in(tmp_path):
    """If it failed, attempts would be wasted on an agent that nobody has logged in to."""
    ran = await run(tmp_path, "locked")
    assert (ran.last.problem, ran.last.text) == (
        Problem.AUTHENTICATION,
        "Authentication required: log in first",
    )


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"argv": ["no-such-agent", "acp"]}, "'no-such-agent' can't be started"),
        ({"model": "none"}, "refuses the model 'none': Invalid params: no such model"),
    ],
)
async def test_settings_that_do_not_fit(tmp_path, settings, sentence):
    """If it failed, a wrong setting would look like a failure of the agent's work."""
    ran = await run(tmp_path, "echoes", **settings)
    assert ran.last.problem is Problem.INVALID
    assert sentence in ran.last.text


async def test_a_conversation_goes_on(tmp_path):
    """If it failed, an agent would begin again after a crash, or its past be told and paid twice."""
    talk = Conversation("old-1", resumed=True, counted=Spent(cost_usd=0.125))
    ran = await run(tmp_path, "works", conversation=talk)
    assert ran.events[0].conversation == "old-1"
    assert "said long ago" not in ran.text
    # 0.5 were spent before it was cut off, of which 0.125 had been recorded; 0.75 came after that.
    assert sum(event.cost_usd or 0 for event in ran.of(AgentEventKind.USAGE)) == 1.125


@pytest.mark.parametrize(("does", "identity"), [("forgets", "old-1"), ("echoes", "unknown")])
async def test_a_lost_conversation_begins_again(tmp_path, does, identity):
    """If it failed, a session could never be repeated once its agent had lost its conversation."""
    ran = await run(tmp_path, does, conversation=Conversation(identity, resumed=True))
    assert ran.of(AgentEventKind.STARTED)[0].conversation == "new-1"
    assert ran.end.status is RunStatus.COMPLETED


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "'argv'"),
        ({"argv": []}, "'argv'"),
        ({"argv": ["a"], "permission_mode": "maybe"}, "'permission_mode'"),
        ({"argv": ["a"], "base_url": "http://localhost"}, "need 'provider'"),
        ({"argv": ["a"], "cassette": "x"}, "no setting 'cassette'"),
    ],
)
def test_wrong_settings_are_refused(settings, sentence):
    """If it failed, a mistake would be found by the first session, in the background."""
    with pytest.raises(InvalidInput, match=sentence):
        find_backend("acp").check(settings)


def test_nothing_secret_is_an_argument(tmp_path, monkeypatch):
    """If it failed, every user of the machine could read prompts and keys in the list of processes."""
    monkeypatch.setenv("AGENT_KEY", "k-1234")
    settings = {"argv": ["a"], "environment": {"X": "1"}, "pass_environment": ["AGENT_KEY", "NOT_THERE"]}
    command = AcpBackend().command(AgentRequest(tmp_path, "tell nobody", home=tmp_path, settings=settings))
    assert "tell nobody" not in " ".join(command.argv)
    assert b"k-1234" not in command.stdin
    assert command.env == {"HOME": str(tmp_path), "AGENT_KEY": "k-1234", "X": "1"}


def test_diagnosis():
    """If it failed, `shiftwork doctor` would promise an agent that is not there."""
    backend = find_backend("acp")
    assert backend.diagnose({}).usable
    assert backend.diagnose({"argv": [sys.executable]}).program == sys.executable
    assert "'no-such-agent' was not found" in backend.diagnose({"argv": ["no-such-agent"]}).problems[0]
