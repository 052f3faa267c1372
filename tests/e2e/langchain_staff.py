"""Models that play every role of a project by a script, whatever their servers do."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from shiftwork.contracts.project import AgentOptions
from shiftwork.contracts.session import Role
from tests.e2e.lab import Lab, Project
from tests.e2e.support import simple_feature
from tests.llm.script import Answer, Reply, Turn
from tests.llm.server import LlmServer

WIRES = {
    "openai": ("openai:gpt-5-mini", "/v1", "OPENAI_API_KEY"),
    "anthropic": ("anthropic:claude-sonnet-4-5", "", "ANTHROPIC_API_KEY"),
}
every_wire = pytest.mark.parametrize("wire", WIRES)

FEATURES = [
    simple_feature("a"),
    simple_feature("i", "a", category="integration"),
    simple_feature("t", "i", category="testing"),
    {
        **simple_feature("b", "t", category="documentation"),
        "verification_steps": [
            {"description": "it is there", "command": "test -e b.txt"},
            {"description": "it reads well"},
        ],
    },
]
PLAN = [{"category": "functional", "priority": 5, **feature} for feature in FEATURES]

SESSIONS = {
    "planning": "initializer",
    "a": "session",
    "i": "research",
    "t": "testing",
    "b": "documentation",
}
"""What a project of these features has done, in this order, by whom; the verifier judges within the last."""

HAND_OVER = ("hand_over", {"summary": "done"})


def role_of(turn: Turn) -> str:
    """Who asks."""
    if "finish_plan" in turn.tools:
        return "initializer"
    return "verifier" if "give_verdict" in turn.tools else SESSIONS[feature_of(turn)]


def feature_of(turn: Turn) -> str:
    """The feature that an agent is to build."""
    [name] = set(re.findall(r"Your one feature: (\w+)", turn.user_text))
    return str(name)


_NOT_DONE = ("Error", "The arguments of this call are not valid JSON")


def steps_done(turn: Turn) -> int:
    """How many of its calls were made: one that no tool answers, or that a tool refuses, was not."""
    return sum(not result.startswith(_NOT_DONE) for result in turn.tool_results)


@dataclass
class Staff:
    """The model behind every role: plans four features, builds each with one command, judges one step.

    Attributes:
        instead: is asked first; None leaves the turn to the script.
        plan: the features that are planned.
        asked: how often each question was asked, by all that the conversation held.
    """

    instead: Callable[[Turn], Answer | None] = lambda _: None
    command: str = "echo done > {feature}.txt"
    plan: Sequence[dict[str, Any]] = tuple(PLAN)
    asked: dict[str, int] = field(default_factory=dict)

    def __call__(self, turn: Turn) -> Answer:
        """The answer to one turn."""
        if not turn.tools:
            return Reply("ok")
        question = json.dumps(turn.body, sort_keys=True, default=str)
        self.asked[question] = self.asked.get(question, 0) + 1
        if (answer := self.instead(turn)) is not None:
            return answer
        calls, done = self._work(turn), steps_done(turn)
        return Reply("now", (calls[done],)) if done < len(calls) else Reply("over")

    def _work(self, turn: Turn) -> list[tuple[str, dict[str, Any]]]:
        """What an agent in this role calls, one after the other."""
        if "finish_plan" in turn.tools:
            return [("add_features", {"features": [*self.plan]}), ("finish_plan", {}), HAND_OVER]
        if "give_verdict" in turn.tools:
            word = {"step": 2, "met": True, "reason": "read it", "command": "grep -q done b.txt"}
            return [("execute", {"command": "cat b.txt"}), ("give_verdict", word), HAND_OVER]
        feature = feature_of(turn)
        noted = {"decision": f"write {feature}", "reasoning": "it is asked for", "context": "", "tags": []}
        return [
            ("record_decision", noted),
            ("execute", {"command": self.command.format(feature=feature)}),
            HAND_OVER,
        ]


def agent(wire: str, server: LlmServer, **settings: Any) -> AgentOptions:
    """The backend on this wire, with quick retries."""
    model, path, key = WIRES[wire]
    given = {"model": model, "base_url": server.url + path, "environment": {key: "no-secret"}}
    return AgentOptions(backend="langchain", settings={**given, "max_turns": 40, **settings})


async def start(lab: Lab, wire: str, server: LlmServer, *, planned: bool = False, **options: Any) -> Project:
    """A project that has this agent in every role."""
    return await start_with(lab, agent(wire, server), planned=planned, **options)


async def start_with(lab: Lab, chosen: AgentOptions, *, planned: bool = False, **options: Any) -> Project:
    """The same, with any agent."""
    features = [simple_feature("a")] if planned else FEATURES
    project = await lab.project(features, planned=planned, start=False, **options)
    async with lab.shiftwork.store.transaction() as tx:
        row = await tx.projects.get(project.id)
        everybody = row.options.model_copy(
            update={"agent": chosen, **({} if planned else {"roles": {Role.VERIFIER: chosen}})}
        )
        await tx.projects.save(project.id, row.revision + 1, options=everybody)
    await lab.shiftwork.open(project.id)
    return project


async def completes(project: Project, after: int = 0) -> None:
    """Wait for a good end, as long as models take."""
    status = await project.rest(after, seconds=300)
    assert (status["status"], status["reason"]) == ("completed", ""), await failures(project)


async def sessions(project: Project) -> list[tuple[str, str]]:
    """What each of its sessions was for, and who did it."""
    return [(e.data["feature"], e.data["role"]) for e in await project.events("session_started")]


async def failures(project: Project) -> list[tuple[str, str]]:
    """What went wrong in its attempts, but for what is gone on with: on a busy machine, any may be killed."""
    ended = [event.data for event in await project.events("attempt_ended")]
    return [
        (facts["failure"], facts["detail"])
        for facts in ended
        if facts["failure"] and not facts.get("goes_on")
    ]
