"""The ACP backend with the real `opencode acp` and a scripted model."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from shiftwork.agents.acp import AcpBackend
from shiftwork.agents.events import AgentEvent, AgentEventKind, Problem
from shiftwork.agents.protocol import AgentRequest, Conversation
from shiftwork.agents.run import AgentEnd, run_agent_process
from shiftwork.contracts.session import RunStatus, Spent
from shiftwork.sandbox.choose import choose_sandbox
from tests.llm.programs import find_program_or_skip
from tests.llm.script import Fault, Reply, in_order
from tests.llm.server import LlmServer

PRICES = {"input": 3, "output": 15}
"""US dollars per million tokens; an answer of the script costs 100 × 3 + 10 × 15 of a millionth."""


def environment(server: LlmServer) -> dict[str, str]:
    """How opencode finds the scripted model, and nothing else."""
    models = {
        name: {"name": name, "cost": PRICES, "limit": {"context": 100_000, "output": 4_000}}
        for name in ("small", "large")
    }
    provider = {
        "npm": "@ai-sdk/anthropic",
        "options": {"baseURL": f"{server.url}/v1", "apiKey": "none"},
        "models": models,
    }
    config = {
        "model": "scripted/small",
        "small_model": "scripted/small",
        "enabled_providers": ["scripted"],
        "provider": {"scripted": provider},
    }
    off = ("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "DEFAULT_PLUGINS")
    return {f"OPENCODE_DISABLE_{name}": "1" for name in off} | {"OPENCODE_CONFIG_CONTENT": json.dumps(config)}


@dataclass
class Ran:
    end: AgentEnd
    events: list[AgentEvent] = field(default_factory=list)

    def told(self) -> list[tuple[str, str]]:
        shown = (AgentEventKind.TEXT, AgentEventKind.TOOL_USE, AgentEventKind.TOOL_RESULT)
        return [(event.kind.value, event.text.strip()) for event in self.events if event.kind in shown]

    def cost(self) -> float:
        return round(sum(event.cost_usd or 0 for event in self.events), 6)


@pytest.fixture
def opencode() -> str:
    return find_program_or_skip("opencode")


async def run(
    folder: Path, opencode: str, server: LlmServer, settings: Mapping[str, Any] | None = None, **more: Any
) -> Ran:
    """One run of `opencode acp`; it is stopped when it uses a tool named in `stop_at`."""
    workspace = folder / "workspace"
    workspace.mkdir(exist_ok=True)
    stop_at = more.pop("stop_at", None)
    given = {"argv": [opencode, "acp"], "environment": environment(server), **(settings or {})}
    request = AgentRequest(workspace, home=folder, settings=given, **{"prompt": "go", **more})
    events: list[AgentEvent] = []
    stop = asyncio.Event()

    async def listen(event: AgentEvent) -> None:
        events.append(event)
        if event.kind is AgentEventKind.TOOL_USE and event.text == stop_at:
            stop.set()

    end = await run_agent_process(
        AcpBackend(), request, env={}, sandbox=choose_sandbox(), timeout=100, on_event=listen, stop=stop
    )
    return Ran(end, events)


async def test_it_works_and_goes_on(tmp_path, opencode):
    """If it failed, no real agent could speak the protocol with us, it would forget, or be paid twice."""
    target = str(tmp_path / "workspace" / "a.txt")
    script = in_order(
        Reply("I write.", (("write", {"filePath": target, "content": "hi"}),)),
        Reply("", (("bash", {"command": "cat a.txt", "description": "Show it"}),)),
        Reply("Done."),
        Reply("Still done."),
    )
    async with LlmServer(script) as server:
        first = await run(tmp_path, opencode, server)
        assert first.end.status is RunStatus.COMPLETED, first.end.message
        assert first.told() == [
            ("text", "I write."),
            ("tool_use", "write"),
            ("tool_result", "Wrote file successfully."),
            ("tool_use", "bash"),
            ("tool_result", "hi"),
            ("text", "Done."),
        ]
        assert (tmp_path / "workspace" / "a.txt").read_text() == "hi"
        assert first.cost() == 0.00135
        talk = Conversation(first.events[0].conversation, resumed=True, counted=Spent(cost_usd=first.cost()))
        again = await run(tmp_path, opencode, server, prompt="and now?", conversation=talk)
        assert again.told() == [("text", "Still done.")]
        assert again.events[0].conversation == talk.id
        assert again.cost() == 0.00045
        asked = [turn.user_text for turn in server.turns if turn.tools]
        assert "go" in asked[-1]
        assert "and now?" in asked[-1]


async def test_a_stop_leaves_nothing_behind(tmp_path, opencode):
    """If it failed, a pause would wait for a tool that never ends, or cost an attempt."""
    script = in_order(Reply("", (("bash", {"command": "sleep 1000", "description": "Wait"}),)))
    async with LlmServer(script) as server:
        ran = await run(tmp_path, opencode, server, stop_at="bash")
        assert ran.end.status is RunStatus.INTERRUPTED
        assert not ran.end.timed_out


async def test_what_goes_wrong_is_told(tmp_path, opencode):
    """If it failed, a refusal or an error of the provider would look like a crash, or work."""
    async with LlmServer(in_order(Reply("No.", refused=True))) as server:
        ran = await run(tmp_path, opencode, server, {"model": "scripted/large"})
        assert ran.events[-1].problem is Problem.REFUSED
        assert {turn.body["model"] for turn in server.turns if turn.tools} == {"large"}
    async with LlmServer(in_order(Fault(401, "no such key"))) as server:
        ran = await run(tmp_path, opencode, server)
        assert ran.end.status is RunStatus.FAILED
        assert "no such key" in ran.end.message
