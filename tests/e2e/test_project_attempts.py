"""Attempts of a session's agent that end while the session goes on: nothing of the work is lost."""

import asyncio

from temporalio.api.workflowservice.v1 import (
    PauseActivityRequest,
    ResetActivityRequest,
    UnpauseActivityRequest,
)

from activities.names import RUN_AGENT
from shiftwork.temporal import session_workflow_id
from tests.e2e.lab import SHOW_BRIEF, Lab, Project, ask_of_activity, eventually, no_process_lives
from tests.e2e.support import WorkerProcess, simple_attempt

HALF = [
    {"write": {"path": "half.txt", "content": "half\n"}},
    SHOW_BRIEF,
]


async def begun(lab: Lab, *more: dict) -> Project:
    """A project whose agent has done half of its work, and waits in its first attempt."""
    waits = {"run": {"command": '[ -e "$SHIFTWORK_BRIEF/kept.patch" ] || sleep 60'}}
    project = await lab.project(sessions={"a": [simple_attempt("a", HALF[0], lab.here, waits, *HALF, *more)]})
    await lab.reached()
    return project


async def check(lab: Lab, project: Project) -> None:
    """It was completed by a second attempt, which went on from what the first had done."""
    await project.completes()
    request = project.request()
    assert (request["session"], request["attempt"]) == (0, 2)
    assert request["kept_work"]["files"] == ["half.txt"]
    feature = (await project.features())["a"]
    assert (feature.attempts, feature.kept_commit) == (0, None)
    assert "paused" not in {event.kind for event in await project.events()}
    await no_process_lives(lab)


async def asked(lab: Lab, project: Project, request: type) -> None:
    await ask_of_activity(lab, request, session_workflow_id(project.id, 0), RUN_AGENT)


async def test_a_session_whose_agent_is_reset_goes_on(lab: Lab) -> None:
    """Who resets an agent that hangs, in Temporal's Web UI, and thereby loses its work."""
    project = await begun(lab)
    await asked(lab, project, ResetActivityRequest)
    await check(lab, project)


async def test_a_session_whose_agent_is_paused_there_waits(lab: Lab) -> None:
    """The same of who pauses one: nothing may run until it is unpaused."""
    project = await begun(lab)
    await asked(lab, project, PauseActivityRequest)

    async def kept() -> bool:
        return bool((await project.features())["a"].kept_commit or await project.events("attempt_ended"))

    await eventually(kept)
    await asyncio.sleep(2)
    assert len(await project.events("attempt_started")) == 1
    await asked(lab, project, UnpauseActivityRequest)
    await check(lab, project)


async def test_a_session_whose_worker_slept_goes_on(lab: Lab, shared_worker: WorkerProcess) -> None:
    """A laptop that is closed for a minute, and thereby costs an attempt, or leaves two agents at work."""
    project = await lab.project(sessions={"a": [simple_attempt("a", lab.here, {"sleep": 3})]})
    await lab.reached()
    shared_worker.pause()
    await asyncio.sleep(2.5 * lab.settings.timings.heartbeat_timeout)
    shared_worker.resume()
    await project.completes()
    assert project.landings() == ["a"]
    assert (await project.features())["a"].attempts == 0
    await no_process_lives(lab)
