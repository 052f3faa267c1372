"""The real Claude Code against a scripted model."""

import asyncio
import os
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from shiftwork.agents.claude import ClaudeBackend
from shiftwork.agents.events import AgentEvent, AgentEventKind, Problem
from shiftwork.agents.protocol import AgentRequest, Conversation
from shiftwork.agents.run import AgentEnd, run_agent_process
from shiftwork.contracts.session import RunStatus
from shiftwork.sandbox.choose import choose_sandbox
from tests.llm.programs import find_program_or_skip
from tests.llm.script import Drop, Fault, Reply, Usage, in_order
from tests.llm.server import LlmServer
from tests.unit.process_support import token

KEY = {"ANTHROPIC_API_KEY": "test-key"}
LOGIN = {"CLAUDE_CODE_OAUTH_TOKEN": "test-token"}
WRITE = Reply("writing", (("Write", {"file_path": "hello.txt", "content": "hi"}),), Usage(100, 20))
DONE = Reply("done", usage=Usage(200, 30, cache_read=50))


@dataclass
class Lab:
    """A home, a workspace and a server; `run` may be called again to go on."""

    folder: Path
    server: LlmServer
    environ: dict[str, str]
    settings: dict = field(default_factory=dict)
    events: list[AgentEvent] = field(default_factory=list)

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    async def run(
        self, prompt="do it", *, conversation=None, workspace=None, stop=None, on_event=None
    ) -> AgentEnd:
        self.events = []

        async def listen(event: AgentEvent) -> None:
            self.events.append(event)
            if on_event:
                on_event(event)

        workspace = workspace or self.workspace
        workspace.mkdir(exist_ok=True)
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        program = find_program_or_skip("claude")
        settings = {"program": program, "base_url": self.server.url, "max_retries": 2, **self.settings}
        return await run_agent_process(
            ClaudeBackend({"PATH": os.environ["PATH"], **self.environ}),
            AgentRequest(workspace, prompt, home=home, settings=settings, conversation=conversation),
            env={},
            sandbox=choose_sandbox(),
            timeout=100,
            on_event=listen,
            stop=stop,
            grace=1,
        )

    def of(self, kind: AgentEventKind) -> list[AgentEvent]:
        return [event for event in self.events if event.kind is kind]

    @property
    def spent(self) -> tuple[int, int, int]:
        used = self.of(AgentEventKind.USAGE)
        return (
            sum(event.input_tokens for event in used),
            sum(event.output_tokens for event in used),
            sum(event.cache_read_tokens for event in used),
        )


@asynccontextmanager
async def lab(folder, *answers, script=None, environ=KEY, **settings):
    async with LlmServer(script or in_order(*answers)) as server:
        yield Lab(folder, server, environ, settings)


async def test_it_works_with_tools_and_tells_what_it_used(tmp_path):
    """Otherwise no session of Claude Code could succeed, or its cost would not be known."""
    async with lab(tmp_path, WRITE, DONE) as claude:
        identity = ClaudeBackend().new_conversation()
        end = await claude.run(conversation=Conversation(identity))
        keys = {request.headers.get("x-api-key") for request in claude.server.requests}
    assert end.status is RunStatus.COMPLETED
    assert (tmp_path / "workspace" / "hello.txt").read_text() == "hi"
    assert [event.conversation for event in claude.of(AgentEventKind.STARTED)] == [identity]
    assert [event.text for event in claude.of(AgentEventKind.TOOL_USE)] == ["Write"]
    assert [event.ok for event in claude.of(AgentEventKind.TOOL_RESULT)] == [True]
    assert claude.spent == (300, 50, 50)
    assert sum(event.cost_usd or 0 for event in claude.of(AgentEventKind.USAGE)) > 0
    assert keys == {"test-key"}


async def test_only_listed_tools_may_be_used(tmp_path):
    """Otherwise the tools that a project allows would not bind its agents."""
    async with lab(
        tmp_path, Reply("", (("Bash", {"command": "touch no"}),)), WRITE, DONE, tools=["Write"]
    ) as claude:
        end = await claude.run()
    assert end.status is RunStatus.COMPLETED
    assert [path.name for path in claude.workspace.iterdir()] == ["hello.txt"]


async def test_a_busy_provider_is_waited_for(tmp_path):
    """Otherwise a moment's rate limit, or a lost connection, would cost an attempt."""
    cut = Drop(Reply("half"))
    async with lab(tmp_path, Fault(429, headers={"retry-after": "0"}), cut, DONE) as claude:
        end = await claude.run()
    assert end.status is RunStatus.COMPLETED
    assert any("429" in event.text for event in claude.of(AgentEventKind.TEXT))


async def test_a_usage_limit_says_until_when(tmp_path):
    """Otherwise a project would try again too early, or spend its attempts on the limit."""
    reset = int(time.time()) + 7200
    headers = {
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-reset": str(reset),
        "anthropic-ratelimit-unified-representative-claim": "five_hour",
    }
    async with lab(tmp_path, Fault(429, headers=headers), environ=LOGIN) as claude:
        end = await claude.run()
    assert end.status is RunStatus.INTERRUPTED
    (limit,) = claude.of(AgentEventKind.RATE_LIMITED)
    assert limit.until == datetime.fromtimestamp(reset, UTC)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Fault(401), Problem.AUTHENTICATION),
        (Fault(400, "Your credit balance is too low to access the Anthropic API."), Problem.AUTHENTICATION),
        (Fault(529), Problem.UNAVAILABLE),
        (Drop(), Problem.UNAVAILABLE),
        (Fault(404, "model: none"), Problem.INVALID),
        (Fault(400, "prompt is too long: 300000 tokens > 200000 maximum"), Problem.LIMIT),
        (Reply("no", refused=True), Problem.REFUSED),
    ],
)
async def test_troubles_are_told_apart(tmp_path, answer, problem):
    """Otherwise attempts would be spent on what only time or a person can help."""
    async with lab(tmp_path, answer, max_retries=2) as claude:
        await claude.run()
    finished = claude.of(AgentEventKind.FINISHED)
    assert [(event.ok, event.problem) for event in finished] == [(False, problem)]


async def test_a_tool_that_never_ends_is_ended_with_all_it_started(tmp_path):
    """Otherwise a stopped session would leave processes that go on writing."""
    sleep = f"sleep {token()}"
    stop = asyncio.Event()

    def stop_when_it_runs(event: AgentEvent) -> None:
        if event.kind is AgentEventKind.TOOL_USE:
            asyncio.get_running_loop().call_later(1, stop.set)

    async with lab(tmp_path, Reply("", (("Bash", {"command": f"setsid {sleep}"}),))) as claude:
        end = await claude.run(stop=stop, on_event=stop_when_it_runs)
    assert end.status is RunStatus.INTERRUPTED
    assert end.stopped
    assert not [line for line in command_lines() if sleep in line or str(tmp_path) in line]


async def test_a_conversation_goes_on_in_another_folder(tmp_path):
    """Otherwise what an agent did before a crash would be paid for and done again."""

    def script(turn):
        return DONE if "go on" in turn.user_text or turn.tool_results else WRITE

    async with lab(tmp_path, script=script) as claude:
        identity = ClaudeBackend().new_conversation()
        await claude.run("remember the word rhubarb", conversation=Conversation(identity))
        moved = tmp_path / "elsewhere"
        resumed = Conversation(identity, resumed=True)
        end = await claude.run("go on", conversation=resumed, workspace=moved)
        said = claude.server.turns[-1].user_text
    assert end.status is RunStatus.COMPLETED
    assert "rhubarb" in said
    assert claude.server.turns[-1].tool_results
    assert claude.spent == (200, 30, 50)
    assert len(list((tmp_path / "home").rglob(f"*elsewhere/{identity}.jsonl"))) == 1


async def test_a_conversation_that_was_never_stored_begins_anew(tmp_path):
    """Otherwise a crash before the first word would make every later attempt fail."""
    async with lab(tmp_path, DONE) as claude:
        lost = Conversation(str(ClaudeBackend().new_conversation()), resumed=True)
        end = await claude.run(conversation=lost)
    assert end.status is RunStatus.COMPLETED


def command_lines() -> list[str]:
    lines = []
    for process in psutil.process_iter():
        try:
            lines.append(" ".join(process.cmdline()))
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return lines
