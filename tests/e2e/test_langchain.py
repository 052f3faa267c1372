"""Whole projects by agents of our own on chat models, in every role, whatever the models' servers do."""

import asyncio
import json
import os
import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psutil
import pytest

from shiftwork.agents.langchain.settings import LangchainSettings
from shiftwork.contracts.project import AgentOptions
from shiftwork.contracts.session import Role
from shiftwork.planning.refusing import REJECTED
from shiftwork.store.rows import Totals
from tests.e2e.lab import Lab, Project, eventually, no_process_lives
from tests.e2e.support import WorkerProcess, git, simple_feature
from tests.llm.script import Answer, Drop, Fault, Reply, Turn
from tests.llm.server import LlmServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

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


def plans_from_the_readme(turn: Turn) -> Answer | None:
    """An initializer that knows nothing but what it finds in the code."""
    if "finish_plan" not in turn.tools:
        return None
    match turn.tool_results:
        case []:
            return Reply("", (("read_file", {"file_path": "README.md"}),))
        case [told]:
            [how] = re.findall(r"Check it by `(.*?)`", told)
            step = {"description": "as the README says", "command": how}
            planned = {"features": [{**PLAN[0], "verification_steps": [step]}]}
            return Reply("", (("add_features", planned),))
        case [_, _]:
            return Reply("", (("finish_plan", {}),))
        case _:
            return Reply("", (HAND_OVER,))


async def test_existing_code_is_read_before_it_is_planned(lab: Lab) -> None:
    """If it failed, a project of existing code would be planned as if there were none."""
    repository = lab.folder / "existing"
    git(lab.folder, "init", "-q", "-b", "main", str(repository))
    readme = "# Old code\n\nCheck it by `sh check.sh`.\n"
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    for name, text in (("README.md", readme), ("check.sh", "grep -q done a.txt\n")):
        (repository / name).write_text(text)
    git(repository, "add", ".")
    git(repository, *identity, "commit", "-q", "-m", "Old code")
    with LlmServer.in_thread(Staff(plans_from_the_readme)) as server:
        project = await start(lab, "openai", server, repository=repository)
        await completes(project)
        planned = (await project.features())["a"].verification_steps[0]
        assert planned.command == "sh check.sh"
        assert "a.txt" in project.files()


@every_wire
async def test_every_role_is_played(wire: str, lab: Lab) -> None:
    """If it failed, a chat model could not do a project from its plan to its judgement."""
    staff = Staff()
    with LlmServer.in_thread(staff) as server:
        project = await start(lab, wire, server)
        await completes(project)
        assert project.landings() == ["a", "i", "t", "b"]
        assert list(dict.fromkeys(await sessions(project))) == list(SESSIONS.items())
        started = [e.data["role"] for e in await project.events("attempt_started")]
        # On a busy machine a worker may count as lost for a moment, and an attempt be gone on with.
        assert list(dict.fromkeys(started)) == [*SESSIONS.values(), "verifier"]
        async with lab.shiftwork.store.transaction() as tx:
            decisions = await tx.decisions.history(project.id)
            totals = await tx.projects.totals(project.id)
        assert {d.decision for d in decisions} == {"write a", "write i", "write t", "write b"}
        assert totals.input_tokens > 0
        assert set(staff.asked.values()) == {1}
        assert all("no-secret" in str(r.headers) for r in server.requests if r.method == "POST")
        assert all(turn.body.get("stream") for turn in server.turns)
    await no_process_lives(lab)


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


def overflow(wire: str) -> Fault:
    """How a provider says that a conversation is too long."""
    if wire == "anthropic":
        error = {
            "type": "invalid_request_error",
            "message": "prompt is too long: 300000 tokens > 200000 maximum",
        }
        return Fault(400, body={"type": "error", "error": error})
    message = "This model's maximum context length is 128000 tokens, and your messages have 300000."
    return Fault(
        400,
        body={
            "error": {"message": message, "type": "invalid_request_error", "code": "context_length_exceeded"}
        },
    )


@every_wire
async def test_trouble_with_the_model_costs_nothing(wire: str, lab: Lab) -> None:
    """If it failed, an hour of a provider's trouble would spend the attempts of a feature."""
    half = Reply("now", (("execute", {"command": "touch half.txt"}),))
    unreadable = replace(half, malformed=True)
    trouble: dict[str, list[Answer]] = {
        "initializer": [Fault(429, headers={"retry-after": "1"}), Drop(half)],
        "session": [overflow(wire), Reply("so", (("no_such_tool", {"x": 1}),)), Fault(500)],
        "research": [Drop(half), unreadable],
        "testing": [Fault(503, headers={"retry-after": "1"}), Reply("so", (("execute", {"wrong": 1}),))],
        "documentation": [Drop(), Fault(429, headers={"retry-after": "1"})],
        "verifier": [unreadable, Fault(500), Reply("so", (("no_such_tool", {"x": 1}),))],
    }

    def script(turn: Turn) -> Answer | None:
        """Each trouble in the middle of the work, one before each step, the last before the third."""
        left = trouble[role_of(turn)]
        return left.pop() if left and steps_done(turn) == 3 - len(left) else None

    with LlmServer.in_thread(Staff(script)) as server:
        project = await start(lab, wire, server)
        await completes(project)
        assert not any(trouble.values()), trouble
        assert await failures(project) == []
        assert {row.attempts for row in (await project.features()).values()} == {0}
        ended = [event.data for event in await project.events("session_ended")]
        assert await sessions(project) == list(SESSIONS.items()), ended
        assert "half.txt" not in project.files()


@every_wire
async def test_a_conversation_that_is_too_long_is_summed_up(wire: str, lab: Lab) -> None:
    """If it failed, long work would end where the model's context does."""
    faults = [overflow(wire)]

    def script(turn: Turn) -> Answer | None:
        if faults and len(turn.tool_results) < 6:
            return Reply("look", (("execute", {"command": f"echo step {len(turn.tool_results)}"}),))
        return faults.pop() if faults else None

    with LlmServer.in_thread(Staff(script)) as server:
        project = await start(lab, wire, server, planned=True)
        await completes(project)
        assert faults == []
        assert await failures(project) == []


async def test_an_interrupted_conversation_is_gone_on_with(lab: Lab) -> None:
    """If it failed, each limit in the middle of the work would have all that came before paid for again."""
    limit: list[Answer] = [Fault(429, headers={"retry-after": "7200"})]
    staff = Staff(lambda turn: limit.pop() if len(turn.tool_results) == 2 and limit else None)
    with LlmServer.in_thread(staff) as server:
        project = await start(lab, "anthropic", server, planned=True)
        await project.event("session_ended")
        assert limit == []
        now = await project.now()
        await lab.shiftwork.resume(project.id)
        await completes(project, now)
        assert sorted(staff.asked.values()) == [1, 1, 2], "only what was refused is asked again"
        assert (await project.features())["a"].attempts == 0
        async with lab.shiftwork.store.transaction() as tx:
            assert len(await tx.decisions.history(project.id)) == 1


@every_wire
async def test_a_refusal_in_any_role_costs_an_attempt_and_is_told(wire: str, lab: Lab) -> None:
    """If it failed, a model that declines would look like one that crashed, or end the project."""
    declines = {*SESSIONS.values(), "verifier"}

    def script(turn: Turn) -> Answer | None:
        """Whoever has it declines once."""
        if (role := role_of(turn)) not in declines:
            return None
        declines.remove(role)
        return Reply("I won't.", refused=True)

    with LlmServer.in_thread(Staff(script)) as server:
        project = await start(lab, wire, server)
        await completes(project)
        assert declines == set()
        assert {row.attempts for row in (await project.features()).values()} == {1}
        assert [kind for kind, _ in await failures(project)] == ["agent_refused"] * (len(SESSIONS) + 1)
        assert await sessions(project) == [each for each in SESSIONS.items() for _ in range(2)]


@every_wire
async def test_refused_credentials_pause_the_project(wire: str, lab: Lab) -> None:
    """If it failed, a wrong key would spend every attempt."""
    refused = [True]
    with LlmServer.in_thread(Staff(lambda _: Fault(401) if refused else None)) as server:
        project = await start(lab, wire, server, planned=True)
        assert "credentials" in await project.pauses()
        refused.clear()
        now = await project.now()
        await lab.shiftwork.resume(project.id)
        await completes(project, now)
        assert (await project.features())["a"].attempts == 0


async def test_another_agent_goes_on_where_a_provider_is_down(lab: Lab) -> None:
    """If it failed, an outage of one provider would stop a project that has another, or cost attempts."""
    staff = Staff(plan=PLAN[:1])
    with LlmServer.in_thread(staff) as second:
        with LlmServer.in_thread(staff) as first:
            chosen = agent("openai", first, max_retries=0)
            chosen = chosen.model_copy(update={"fallbacks": (agent("anthropic", second),)})
            project = await start_with(lab, chosen, autorun=False)
            await project.rest(seconds=100)
            assert await project.statuses() == {"a": "not_started"}
            assert second.turns == []
        after = await project.now()
        await lab.shiftwork.resume(project.id, autorun=True)
        await completes(project, after)
        assert len(second.turns) == 3
        [rest] = await project.events("agent_rests")
        assert rest.data["next_model"] == WIRES["anthropic"][0]
        ended = await project.events("attempt_ended")
        assert [e.data["reason"] for e in ended] == [None, "unavailable", None]
        assert await failures(project) == []
        assert (await project.features())["a"].attempts == 0


@every_wire
async def test_a_wrong_name_of_a_model_is_told_in_the_reason(wire: str, lab: Lab) -> None:
    """If it failed, people would have to look for a misspelt name in the logs, or a history would hold it."""
    wrong: list[Answer] = [Fault(404, "The model \x1b[1mgpt-6-miny\x1b[0m does not exist." + "x" * 5000)]
    with LlmServer.in_thread(Staff(lambda _: wrong[0] if wrong else None)) as server:
        project = await start(lab, wire, server, planned=True)
        reason = await project.pauses()
        assert reason.startswith(f'{REJECTED.partition(";")[0]}: "The model ')
        assert "gpt-6-miny" in reason
        assert "shiftwork resume --model NAME" in reason
        assert len(reason) < 700
        assert "\x1b" not in reason
        assert [e.data["reason"] for e in await project.events("paused")] == [reason]
        known = await (await project.workflow()).query("status")
        assert known["reason"] == REJECTED
        await lab.shiftwork.set_budget(project.id, 5)
        assert (await lab.shiftwork.status(project.id))["reason"] == reason
        wrong.clear()
        now = await project.now()
        await lab.shiftwork.resume(project.id)
        await completes(project, now)
        assert (await project.features())["a"].attempts == 0


@every_wire
@pytest.mark.parametrize("whom", ["agent", "worker"])
async def test_a_kill_costs_the_call_in_flight_at_most(
    wire: str, whom: str, lab: Lab, shared_worker: WorkerProcess
) -> None:
    """If it failed, a crash would have a model's answers paid for again, or do twice what they asked for."""
    staff = Staff(
        command="echo once >> log.txt; touch {here}; sleep 1; echo done > {{feature}}.txt".format(
            here=lab.folder / "here"
        )
    )
    with LlmServer.in_thread(staff) as server:
        project = await start(lab, wire, server, planned=True)
        await lab.reached()
        if whom == "worker":
            await asyncio.to_thread(shared_worker.kill)
            await asyncio.to_thread(shared_worker.start)
        else:
            os.kill(await _program(), signal.SIGKILL)
        staff.instead = _look_and_finish
        await eventually(lambda: _rests(project), 200)
        status = await lab.shiftwork.status(project.id)
        assert (status["status"], status["reason"]) == ("completed", "")
        # The session goes on: nothing that was answered is asked again, nothing that was done is done twice.
        assert set(staff.asked.values()) == {1}
        assert (await project.features())["a"].attempts == 0
        assert project.read("log.txt").splitlines().count("once") == 1
        assert len(await project.events("session_started")) == 1
        [ended] = await project.events("session_ended")
        totals = await _totals(project)
        assert ended.data["cost_usd"] == pytest.approx(totals.cost_usd)
        assert totals.input_tokens == 100 * len(staff.asked)
    await no_process_lives(lab)


def _look_and_finish(turn: Turn) -> Answer | None:
    """What a model does that is told that its command was interrupted."""
    if turn.tool_results and "interrupted" in turn.tool_results[-1]:
        return Reply("look", (("execute", {"command": "echo done > a.txt"}),))
    if len(turn.tool_results) > 2:
        return Reply("so", (HAND_OVER,))
    return None


async def _totals(project: Project) -> Totals:
    async with project.lab.shiftwork.store.transaction() as tx:
        return await tx.projects.totals(project.id)


async def _rests(project: Project) -> bool:
    status = await project.lab.shiftwork.status(project.id)
    return status["status"] in ("completed", "paused")


async def _program() -> int:
    """The process of the one agent that runs."""

    async def look() -> int | None:
        found = [
            process.pid
            for process in psutil.process_iter(["cmdline"])
            if "shiftwork.agents.langchain" in (process.info["cmdline"] or [])
        ]
        return found[-1] if found else None

    return await eventually(look)


LESSON = "The steps look for the word done, in small letters."


@pytest.mark.parametrize("lesson", [LESSON, ""], ids=["with the lesson", "without it"])
async def test_a_lesson_makes_the_difference(lesson: str, lab: Lab) -> None:
    """If it failed, what people or the harness learned would never reach a model, or change nothing."""

    def script(turn: Turn) -> Answer | None:
        calls = [
            ("record_decision", {"decision": "write DONE into a.txt", "reasoning": "it is louder"}),
            ("execute", {"command": f"echo {'done' if LESSON in turn.user_text else 'DONE'} > a.txt"}),
            HAND_OVER,
        ]
        return Reply("so", (calls[len(turn.tool_results)],)) if len(turn.tool_results) < 3 else None

    with LlmServer.in_thread(Staff(script)) as server:
        project = await start(lab, "anthropic", server, planned=True, max_sessions=1)
        assert "max_sessions" in await project.pauses()
        async with lab.shiftwork.store.transaction() as tx:
            [decision] = await tx.decisions.history(project.id)
        assert (decision.outcome, decision.judged_by) == ("failure", "harness")
        if lesson:
            await lab.shiftwork.feedback(decision.id, "failure", score=-1, lesson=lesson)
        now = await project.now()
        await lab.shiftwork.resume(project.id)
        await project.rest(now, seconds=200)
        feature = (await project.features())["a"]
        assert (feature.status == "passing") is bool(lesson)


def test_the_settings_are_those_of_the_backend() -> None:
    """If it failed, these projects would not test what people configure."""
    assert LangchainSettings.model_fields.keys() >= {"model", "base_url", "environment", "max_turns"}
