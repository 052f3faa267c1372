"""Whole projects by agents of our own on chat models, in every role."""

import re

import pytest

from shiftwork.agents.langchain.settings import LangchainSettings
from tests.e2e.lab import Lab, no_process_lives
from tests.e2e.langchain_staff import HAND_OVER, PLAN, SESSIONS, Staff, completes, every_wire, sessions, start
from tests.e2e.support import git
from tests.llm.script import Answer, Reply, Turn
from tests.llm.server import LlmServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


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
