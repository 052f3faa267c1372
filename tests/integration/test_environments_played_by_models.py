"""Chat models of every provider play an environment that they were given as a tool."""

import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_openai import ChatOpenAI

from shiftwork.environments.adapter import HarnessAdapter
from shiftwork.environments.examples import NumberGuessHarness
from shiftwork.environments.runtime import AgentRuntime
from shiftwork.errors import InvalidInput, ModelFailed
from tests.llm.script import Fault, Reply, Script, Turn, in_order
from tests.llm.server import LlmServer

ROOT = Path(__file__).parents[2]
PATIENCE = 250
"""Seconds that the packages of five providers may take to be imported: about seven of a processor's own, and
more where the disk and the processors are busy."""
TOOL = "harness_number_guess"
RANGE = re.compile(r"from (\d+) to (\d+)")


def halving(turn: Turn) -> Reply:
    """Play as a model would that reads what it is told, and nothing else."""
    if not turn.tool_results:
        assert turn.tools == (TOOL,)
        return Reply("I begin.", ((TOOL, {"action": "reset", "seed": 11}),))
    last = turn.tool_results[-1]
    if "is right" in last:
        return Reply(f"Found with {len(turn.tool_results) - 1} guesses.")
    low, high = map(int, RANGE.findall(last)[0])
    step = {"action": "step", "action_name": "guess", "parameters": {"number": (low + high) // 2}}
    return Reply("", ((TOOL, step),))


@pytest.fixture(scope="module")
def played() -> dict[str, Any]:
    """What came of an episode by each provider's model, and what it was asked first."""
    with LlmServer.in_thread(halving) as server:
        done = subprocess.run(
            [sys.executable, "-m", "tests.integration.environments_players", server.url],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        first = [turn for turn in server.turns if not turn.tool_results]
    played = json.loads(done.stdout)
    return {name: {**played[name], "asked": turn} for name, turn in zip(played, first, strict=True)}


@pytest.mark.parametrize("provider", ["anthropic", "openai", "openai_responses", "gemini", "ollama"])
def test_a_model_plays_to_the_end(played: dict[str, Any], provider: str) -> None:
    """If it failed, the tool would be of a shape that this provider's models can't use."""
    stats = played[provider]["stats"]
    assert stats["success"]
    assert stats["seed"] == 11
    assert stats["total_steps"] <= NumberGuessHarness().optimum
    assert played[provider]["said"] == f"Found with {stats['total_steps']} guesses."
    asked = played[provider]["asked"]
    assert asked.user_text == f"Win, {provider}."
    assert "`guess` (number)" in json.dumps(asked.body)


@asynccontextmanager
async def agent(script: Script, *tools: HarnessAdapter) -> AsyncIterator[tuple[AgentRuntime, LlmServer]]:
    """An agent whose model says what the script says."""
    async with LlmServer(script) as server, httpx.AsyncClient() as http:
        model = ChatOpenAI(
            model="gpt-scripted",
            base_url=f"{server.url}/v1",
            api_key="none",
            max_retries=0,
            http_async_client=http,
        )
        yield AgentRuntime(model, tools), server


async def test_several_calls_in_one_answer_are_all_answered() -> None:
    """If it failed, a provider would refuse the conversation, or the second action would be taken first."""
    harness = NumberGuessHarness()
    calls = (
        (TOOL, {"action": "reset", "seed": 1}),
        (TOOL, {"action": "step", "action_name": "guess", "number": 50}),
        (TOOL, {"action": "step", "action_name": "fly"}),
        ("harness_chess", {"action": "reset"}),
        (TOOL, {"action": "stats"}),
    )
    script = in_order(Reply("", calls), Reply("Enough."))
    async with agent(script, HarnessAdapter(harness)) as (playing, server):
        assert await playing.run("Play.") == "Enough."
    results = server.turns[-1].tool_results
    assert "Guesses left: 10" in results[0]
    assert "50 is too" in results[1]
    assert "there is no action 'fly' now" in results[2]
    assert "there is no tool 'harness_chess' here" in results[3]
    assert json.loads(results[4])["total_steps"] == 1


async def test_a_run_always_ends() -> None:
    """If it failed, a model that never stops, or never answers, would be waited for, or be a traceback."""
    adapter = HarnessAdapter(NumberGuessHarness())
    for_ever = Reply("", ((TOOL, {"action": "reset"}),))
    async with agent(in_order(for_ever), adapter) as (playing, _):
        with pytest.raises(ModelFailed, match="called tools in 3 answers"):
            await playing.run("Play.", max_turns=3)
    async with agent(in_order(Fault(500)), adapter) as (playing, _):
        with pytest.raises(ModelFailed, match="The model did not answer: "):
            await playing.run("Play.")
    with pytest.raises(InvalidInput, match="has no chat model"):
        await AgentRuntime(tools=[adapter]).run("Play.")
