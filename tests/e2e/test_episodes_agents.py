"""Episodes played by agents, each by a real program in its sandbox."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from shiftwork.contracts.episode import EpisodeErrorKind, EpisodeStatus, EvaluationSpec, Player, PlayerKind
from shiftwork.contracts.project import AgentOptions
from shiftwork.environments.playing import Ending
from shiftwork.sandbox.choose import choose_sandbox
from shiftwork.store.episodes import EpisodeRow
from tests.e2e.lab import Lab, eventually
from tests.e2e.support import WorkerProcess, processes_of
from tests.llm.script import Answer, Fault, Reply, Turn, Usage
from tests.llm.server import LlmServer

HALVES = """
import json, subprocess, sys

def play(*words):
    done = subprocess.run(["./play", *words, "--json"], capture_output=True, text=True)
    return json.loads(done.stdout)

seen = play("observe")
while not seen["over"]:
    known = seen["observation"]["metadata"]
    guess = (known["least"] + known["most"]) // 2
    seen = play("step", "guess", f"number={guess}")
print("played", seen["steps"], play("stats")["total_reward"], play("step", "guess", "number=1")["error"])
"""
"""Guesses by halves, to the end; then once more."""


def player(backend: str, instruction: str = "", **settings: Any) -> Player:
    return Player(
        kind=PlayerKind.AGENT,
        agent=AgentOptions(backend=backend, settings=settings),
        instruction=instruction,
    )


def program(script: str, *arguments: str, **more: Any) -> Player:
    """An agent that is a Python program."""
    argv = ["python3", "-c", script.replace("{", "{{").replace("}", "}}"), *arguments]
    return player("command", argv=argv, **more)


async def played(lab: Lab, agent: Player, seconds: float = 60, **spec: Any) -> EpisodeRow:
    """The first episode of an evaluation, ended."""
    (row,) = await evaluated(lab, agent, seconds, **spec)
    return row


async def evaluated(lab: Lab, agent: Player, seconds: float = 60, **spec: Any) -> list[EpisodeRow]:
    chosen = {"environment": "number_guess", "seed": 3, **spec}
    evaluation = await lab.shiftwork.evaluate(EvaluationSpec(player=agent, **chosen))

    async def look() -> bool:
        return (await lab.shiftwork.evaluation(evaluation.id)).status.ended

    await eventually(look, seconds)
    return list(await lab.shiftwork.episodes(evaluation.id))


async def nothing_lives(lab: Lab) -> None:
    async def look() -> bool:
        return not processes_of(lab.settings.state, "tasks/e")

    await eventually(look, 20, every=0.2)


async def test_a_program_plays_to_the_end(lab: Lab) -> None:
    """If it failed, no agent could be exercised in an environment, or its results would be others."""
    rows = await evaluated(lab, program(HALVES), episodes=3, parallel=2)
    assert [(row.status, row.error, row.ending) for row in rows] == [
        (EpisodeStatus.COMPLETED, None, Ending.TERMINATED)
    ] * 3
    assert [row.success for row in rows] == [True] * 3
    assert all(0 < row.total_steps <= 7 and row.refused_actions == 0 for row in rows)
    assert rows[0].usage is None
    for row in rows:
        assert len(await lab.shiftwork.episode_steps(row.id)) == row.total_steps
        assert not lab.settings.episode_folder(row.id, 1).exists()
    await nothing_lives(lab)
