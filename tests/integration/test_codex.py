"""The real Codex program, against a scripted model server."""

import asyncio
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from shiftwork.agents.codex import CodexBackend
from shiftwork.agents.events import AgentEvent, AgentEventKind, Problem
from shiftwork.agents.protocol import AgentRequest, Conversation
from shiftwork.agents.run import AgentEnd, run_agent_process
from shiftwork.contracts.session import InterruptionReason, RunStatus, Spent
from shiftwork.sandbox.choose import choose_sandbox
from tests.llm.programs import find_program_or_skip
from tests.llm.script import Drop, Fault, Reply, Usage, in_order
from tests.llm.server import LlmServer
from tests.unit.process_support import token

KEY = "sk-of-this-test"
USAGE = Usage()
BUSY = Fault(429, headers={"retry-after": "1"})
"""Codex repeats what a provider is too busy for only if it is told when."""
_SETTINGS = {"model": "gpt-test", "max_retries": 1}
LOST = "01a1fe80-0bf9-7a03-9055-000000000000"


@dataclass
class Run:
    end: AgentEnd
    events: list[AgentEvent] = field(default_factory=list)

    def of(self, kind: AgentEventKind) -> list[AgentEvent]:
        return [event for event in self.events if event.kind is kind]

    @property
    def last(self) -> AgentEvent:
        return self.events[-1]

    @property
    def spent(self) -> Spent:
        usage = self.of(AgentEventKind.USAGE)
        names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
        return Spent(**{name: sum(getattr(event, name) for event in usage) for name in names})


@dataclass
class Lab:
    folder: Path
    program: str

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    async def run(
        self,
        base_url: str,
        *,
        conversation: Conversation | None = None,
        stop: asyncio.Event | None = None,
        on_event=None,
        timeout: float = 60,
        **settings,
    ) -> Run:
        events: list[AgentEvent] = []

        async def listen(event: AgentEvent) -> None:
            events.append(event)
            if on_event:
                on_event(event)

        request = AgentRequest(
            self.workspace,
            prompt="Do the feature.",
            system_prompt='You are "careful" – 🛠.',
            outbox=self.folder / "outbox",
            home=self.folder / "home",
            settings={"program": self.program, "base_url": base_url, **_SETTINGS, **settings},
            conversation=conversation,
        )
        backend = CodexBackend({**os.environ, "OPENAI_API_KEY": KEY, "CODEX_API_KEY": ""})
        end = await run_agent_process(
            backend,
            request,
            env={"HOME": str(self.folder)},
            sandbox=choose_sandbox(),
            timeout=timeout,
            grace=3,
            on_event=listen,
            stop=stop,
        )
        return Run(end, events)


@pytest.fixture
def lab(tmp_path) -> Lab:
    lab = Lab(tmp_path, find_program_or_skip("codex"))
    for name in ("workspace", "outbox"):
        (tmp_path / name).mkdir()
    return lab


def shell(command: str, usage: Usage = USAGE, **more) -> Reply:
    return Reply(tool_calls=(("exec_command", {"cmd": command, **more}),), usage=usage)


async def test_codex_works_in_the_workspace_and_says_so(lab):
    """Otherwise a session through Codex would leave nothing, or nobody would see what it did."""
    see = "echo made > made.txt; echo $TZ/$CODEX_API_KEY$OPENAI_API_KEY; echo $SHIFTWORK_OUTBOX"
    async with LlmServer(in_order(shell(see), Reply("All done."))) as server:
        run = await lab.run(f"{server.url}/v1", environment={"TZ": "Asia/Tokyo"})
        question = server.turns[0]
        sent = server.requests[0].headers["authorization"]
    assert run.end.status is RunStatus.COMPLETED, run.end
    assert (lab.workspace / "made.txt").read_text() == "made\n"
    assert sent == f"Bearer {KEY}"
    assert question.body["model"] == "gpt-test"
    assert "Do the feature." in question.user_text
    assert 'You are "careful" – 🛠.' in question.system_text
    (use,), (result,) = run.of(AgentEventKind.TOOL_USE), run.of(AgentEventKind.TOOL_RESULT)
    assert "made.txt" in use.data["command"]
    assert result.ok
    assert result.data["output"] == f"Asia/Tokyo/\n{lab.folder / 'outbox'}\n"
    assert "All done." in [event.text for event in run.of(AgentEventKind.TEXT)]
    (started,) = run.of(AgentEventKind.STARTED)
    assert started.conversation
    assert {event.model for event in run.of(AgentEventKind.USAGE)} == {"gpt-test"}


async def test_usage_is_counted_once_over_a_resumed_conversation(lab):
    """Otherwise every resumption would pay for the whole conversation again."""
    first = [shell("true", Usage(80, 10, 20)), Reply("One.", usage=Usage(100, 5, 40, 30))]
    async with LlmServer(in_order(*first)) as server:
        begun = await lab.run(f"{server.url}/v1")
    assert begun.spent == Spent(
        input_tokens=180, output_tokens=15, cache_read_tokens=60, cache_write_tokens=30
    )
    assert len(begun.of(AgentEventKind.USAGE)) == 2  # the first while it still worked
    known = begun.of(AgentEventKind.STARTED)[0].conversation
    async with LlmServer(in_order(Reply("Two.", usage=Usage(7, 3, 2)))) as server:
        talk = Conversation(known, resumed=True, counted=begun.spent)
        resumed = await lab.run(f"{server.url}/v1", conversation=talk)
        said = str(server.turns[0].body["input"])
    assert resumed.end.status is RunStatus.COMPLETED
    assert resumed.of(AgentEventKind.STARTED)[0].conversation == known
    assert "One." in said
    assert resumed.spent == Spent(input_tokens=7, output_tokens=3, cache_read_tokens=2)


async def test_a_lost_conversation_is_started_anew(lab):
    """Otherwise a session whose folder was lost could never go on."""
    lost = Conversation(LOST, resumed=True, counted=Spent(input_tokens=10**6))
    async with LlmServer(in_order(Reply("Done."))) as server:
        run = await lab.run(f"{server.url}/v1", conversation=lost)
    assert run.end.status is RunStatus.COMPLETED
    assert run.of(AgentEventKind.STARTED)[0].conversation != lost.id
    assert run.spent.input_tokens == 100


@pytest.mark.parametrize("trouble", [BUSY, Drop(), Drop(Reply("Half an answ")), Fault(500)])
async def test_passing_trouble_is_waited_out(lab, trouble):
    """Otherwise every hiccup of a provider would cost an attempt."""
    async with LlmServer(in_order(trouble, Reply("Done."))) as server:
        run = await lab.run(f"{server.url}/v1")
    assert run.end.status is RunStatus.COMPLETED
    assert len(server.turns) >= 2


@pytest.mark.parametrize(
    ("trouble", "problem"),
    [
        (Fault(401, "Incorrect API key."), Problem.AUTHENTICATION),
        (Fault(503), Problem.UNAVAILABLE),
        (Drop(), Problem.UNAVAILABLE),
        (Fault(400, "Unknown parameter."), Problem.INVALID),
        (Fault(404, "No such model."), Problem.INVALID),
        (Reply("I can't help with that.", refused=True), Problem.REFUSED),
    ],
)
async def test_lasting_trouble_is_told_apart(lab, trouble, problem):
    """Otherwise a wrong key would cost the feature its attempts, or an outage stop the project."""
    async with LlmServer(in_order(trouble)) as server:
        run = await lab.run(f"{server.url}/v1")
    assert run.last.kind is AgentEventKind.FINISHED
    assert (run.last.ok, run.last.problem) == (False, problem)
    assert run.last.text
    assert run.end.status is not RunStatus.COMPLETED


async def test_an_unreachable_provider_is_not_waited_for_forever(lab):
    """Otherwise a session would hang until its time is over: Codex itself never gives up."""
    run = await lab.run("http://127.0.0.1:1/v1", max_retries=0)
    assert (run.last.kind, run.last.problem) == (AgentEventKind.FINISHED, Problem.UNAVAILABLE)
    assert "out of reach" in run.end.message


async def test_a_usage_limit_tells_until_when(lab):
    """Otherwise a project would knock at a closed door every minute, or sleep for too long."""
    resets = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2, hours=3)
    error = {"type": "usage_limit_reached", "message": "The limit", "resets_at": int(resets.timestamp())}
    async with LlmServer(in_order(Fault(429, body={"error": error}))) as server:
        run = await lab.run(f"{server.url}/v1", environment={"TZ": "Asia/Tokyo"})
    assert run.end.status is RunStatus.INTERRUPTED
    assert resets <= run.end.until <= resets + timedelta(minutes=1)


async def test_a_lasting_429_is_a_rate_limit(lab):
    """Otherwise a busy account would cost attempts."""
    async with LlmServer(in_order(Fault(429))) as server:
        run = await lab.run(f"{server.url}/v1", max_retries=0)
    assert run.end.status is RunStatus.INTERRUPTED
    assert run.end.reason is InterruptionReason.RATE_LIMITED


async def test_a_provider_that_asks_for_hours_costs_no_attempt(lab):
    """Otherwise Codex would sleep in silence until its time is over, and be blamed for that."""
    async with LlmServer(in_order(Fault(429, headers={"retry-after": "7200"}))) as server:
        run = await lab.run(f"{server.url}/v1", timeout=6)
    assert run.end.timed_out
    assert (run.end.status, run.end.reason) == (RunStatus.INTERRUPTED, InterruptionReason.RATE_LIMITED)


async def test_it_has_no_sub_agents(lab):
    """Otherwise what those spend would never be counted."""
    async with LlmServer(in_order(Reply("done"))) as server:
        await lab.run(f"{server.url}/v1")
        assert "exec_command" in server.turns[0].tools
        assert not [tool for tool in server.turns[0].tools if "agent" in tool]


async def test_nothing_is_left_of_a_tool_that_never_ends(lab):
    """Otherwise a stopped session would go on writing, and what it spent would be lost."""
    stop = asyncio.Event()

    def stop_soon(event: AgentEvent) -> None:
        if event.kind is AgentEventKind.USAGE:
            asyncio.get_running_loop().call_later(0.5, stop.set)

    seconds = token()
    endless = f"(setsid sleep {seconds} &); exec sleep {seconds}"

    async with LlmServer(in_order(shell(endless, Usage(50, 5), yield_time_ms=30000))) as server:
        run = await lab.run(f"{server.url}/v1", stop=stop, on_event=stop_soon)
    assert run.end.stopped
    assert run.end.status is RunStatus.INTERRUPTED
    assert run.spent == Spent(input_tokens=50, output_tokens=5)
    left = [process for process in psutil.process_iter(["cmdline"]) if _is_ours(process, lab, seconds)]
    assert left == []


def _is_ours(process: psutil.Process, lab: Lab, seconds: str) -> bool:
    words = process.info["cmdline"] or []
    return seconds in words or any(str(lab.folder) in word for word in words)
