"""Whole projects through real agent programs: claude, codex and opencode, against a scripted model."""

import asyncio
import time
from datetime import datetime

import pytest

from shiftwork.agents.registry import find_backend
from shiftwork.sandbox.choose import choose_sandbox
from tests.e2e.agents import bench, shell
from tests.e2e.lab import Lab, Project, eventually, no_process_lives
from tests.e2e.support import WorkerProcess, processes_of
from tests.llm.script import Answer, Drop, Fault, Turn

PROGRAMS = ("claude", "codex", "opencode")
PATIENCE = 300
"""Seconds for what takes such a program ten on a machine that has nothing else to do."""
every_program = pytest.mark.parametrize("program", PROGRAMS)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def once(answer: Answer):
    """A script's exception for its first turn."""
    left = [answer]
    return lambda _: left.pop() if left else None


@every_program
async def test_a_project_is_planned_done_and_verified(program: str, lab: Lab) -> None:
    """If it failed, the program could not do a project: the reason why all of this exists."""
    with bench(program, lab, "a", "b") as use:
        use.model.commands["a"] = "env > a.env; echo done > a.txt"
        project = await use.project(planned=False)
        status = await project.rest(seconds=PATIENCE)
        assert (status["status"], status["reason"]) == ("completed", "")
        assert sorted(project.landings()) == ["a", "b"]
        async with lab.shiftwork.store.transaction() as tx:
            sessions = await tx.sessions.list(project.id)
            totals = await tx.projects.totals(project.id)
        assert len(sessions) == 3
        assert all(session.total_tokens > 0 for session in sessions)
        assert all(session.total_cost_usd > 0 for session in sessions)
        assert totals.cost_usd == pytest.approx(sum(s.total_cost_usd for s in sessions))
        assert {session.sandbox for session in sessions} == {choose_sandbox().level}
        # The provider's key is the gateway's alone.
        assert "no-secret" not in project.read("a.env")
        asked = [request for request in use.server.requests if request.method == "POST"]
        assert all("no-secret" in str(request.headers) for request in asked)
    await no_process_lives(lab)


async def test_a_key_by_reference_is_the_gateway_s_alone(lab: Lab) -> None:
    """If it failed, a key kept in a file or a keyring could not be used, or would end up in the rows."""
    key = lab.folder / "key"
    key.touch(0o600)
    key.write_text("sk-by-reference-8Xq2\n")
    with bench("claude", lab, "a") as use:
        project = await use.project(credentials={"NONE": "-"}, settings={"credential": f"file:{key}"})
        await completes(project)
        asked = [request for request in use.server.requests if request.method == "POST"]
        assert {request.headers.get("x-api-key") for request in asked} == {"sk-by-reference-8Xq2"}


@every_program
async def test_a_short_rate_limit_and_a_lost_connection_cost_nothing(program: str, lab: Lab) -> None:
    """If it failed, a busy provider would cost attempts, or a project would stop for it."""
    with bench(program, lab, "a") as use:
        faults = [Fault(429, headers={"retry-after": "1"}), Drop()]
        use.model.instead = lambda _: faults.pop(0) if faults else None
        project = await use.project()
        await completes(project)
        assert faults == []
        assert (await project.features())["a"].attempts == 0


@every_program
async def test_a_usage_limit_is_waited_for(program: str, lab: Lab) -> None:
    """If it failed, a project would spend its attempts on a limit, or ask again all through it."""
    with bench(program, lab, "a") as use:
        reset = int(time.time()) + (15 if program == "claude" else 3600)
        use.model.instead = lambda _: usage_limit(program, reset)
        # Claude Code knows such limits of accounts that people log in to, not of keys.
        login = {"CLAUDE_CODE_OAUTH_TOKEN": "no-secret"} if program == "claude" else None
        project = await use.project(credentials=login)
        until = await eventually(lambda: waits_until(project), 150)
        # codex tells it to the minute.
        assert until.timestamp() == pytest.approx(reset, abs=61 if program == "codex" else 10)
        asked = len(use.server.turns)
        use.model.instead = lambda _: None
        if program == "claude":
            await project.event("session_started", "session:1")
            assert time.time() >= reset
        else:
            await asyncio.sleep(2)
            assert len(use.server.turns) == asked
            await lab.shiftwork.resume(project.id)
        await completes(project)
        assert (await project.features())["a"].attempts == 0


@every_program
async def test_refused_credentials_pause_the_project(program: str, lab: Lab) -> None:
    """If it failed, a wrong key would spend every attempt of every feature."""
    with bench(program, lab, "a") as use:
        use.model.instead = lambda _: Fault(401)
        project = await use.project()
        status = await project.rest(seconds=PATIENCE)
        assert status["status"] == "paused"
        assert "credentials" in status["reason"]
        assert (await project.features())["a"].attempts == 0
        use.model.instead = lambda _: None
        now = await project.now()
        await lab.shiftwork.resume(project.id)
        await completes(project, now)


@every_program
async def test_a_model_that_may_not_be_asked_pauses_the_project(program: str, lab: Lab) -> None:
    """If it failed, the gateway's refusal would look like refused credentials, or spend every attempt."""
    with bench(program, lab, "a") as use:
        project = await use.project(settings={"models": ["another-*"]})
        status = await project.rest(seconds=PATIENCE)
        assert status["status"] == "paused"
        assert "rejects its requests" in status["reason"]
        [ended] = await project.events("attempt_ended")
        assert "which its setting 'models' does not allow" in ended.data["detail"]
        assert (await project.features())["a"].attempts == 0
        assert use.server.turns == []


@every_program
async def test_a_tool_that_never_ends_is_ended_with_its_session(program: str, lab: Lab) -> None:
    """If it failed, one hanging command would hold a project for ever, or live on after its agent."""
    mark = lab.folder / "here"
    command = f"echo begun > begun.txt; touch {mark}; trap '' TERM; sleep 1000"
    with bench(program, lab, "a") as use:
        use.model.instead = lambda turn: None if mark.exists() else shell(turn, command)
        seconds = 20.0 if program == "opencode" else 12.0
        project = await use.project(session_timeout=seconds, max_attempts=10)
        for ended in range(1, 5):
            await eventually(lambda ended=ended: has_ended(project, ended), 100 + seconds)
            if await asyncio.to_thread(mark.exists):
                break
            seconds *= 2  # This machine takes longer until the command runs.
            await project.give_sessions(seconds)
        await project.give_sessions(600)
        await completes(project)
        assert mark.exists()
        assert (await project.features())["a"].attempts >= 1
    await no_process_lives(lab)


@every_program
async def test_a_stopped_worker_s_agent_goes_on(program: str, lab: Lab, shared_worker: WorkerProcess) -> None:
    """If it failed, a deploy would lose a conversation that was paid for, or the files made in it."""
    with bench(program, lab, "a") as use:
        mark = lab.folder / "here"
        use.model.commands["a"] = f"echo half > half.txt; touch {mark}; sleep 1000"
        project = await use.project()
        await eventually(lambda: asyncio.to_thread(mark.exists), 200)
        assert await asyncio.to_thread(shared_worker.stop) == 0
        assert processes_of(lab.settings.state) == []

        resumes = find_backend(program).can_resume
        told = "You were interrupted" if resumes else "Work kept from an interrupted session"
        work = "cat half.txt" if resumes else 'git apply "$SHIFTWORK_BRIEF/kept.patch"'

        def finish(turn: Turn) -> Answer | None:
            again = told in turn.user_text and "echo done" not in str(turn.body)
            return shell(turn, f"{work} && echo done > a.txt") if again else None

        use.model.instead = finish
        shared_worker.start()
        await completes(project)
        assert project.files() == ["a.txt", "half.txt"]
        assert (await project.features())["a"].attempts == 0
        second = [turn for turn in use.server.turns if told in turn.user_text]
        assert ("sleep 1000" in str(second[-1].body)) is resumes


def usage_limit(program: str, reset: int) -> Fault:
    """How the program's provider says that nothing is left until that time, in seconds since the epoch."""
    if program == "codex":
        return Fault(429, body={"error": {"type": "usage_limit_reached", "message": "-", "resets_at": reset}})
    if program == "opencode":
        return Fault(429, headers={"retry-after": str(reset - int(time.time()))})
    limit = {"status": "rejected", "reset": str(reset), "representative-claim": "five_hour"}
    return Fault(429, headers={f"anthropic-ratelimit-unified-{key}": value for key, value in limit.items()})


async def waits_until(project: Project) -> datetime | None:
    """When the project goes on, if it waits for that."""
    async with project.lab.shiftwork.store.transaction() as tx:
        return (await tx.projects.get(project.id)).not_before


async def has_ended(project: Project, attempts: int) -> bool:
    """Whether so many attempts have ended."""
    return len(await project.events("attempt_ended")) >= attempts


async def completes(project: Project, after: int = 0) -> None:
    """Wait for a good end, as long as a real program takes."""
    status = await project.rest(after, seconds=PATIENCE)
    assert (status["status"], status["reason"]) == ("completed", "")
