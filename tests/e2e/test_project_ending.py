"""Ends that people bring about, and projects whose workflow is lost."""

import asyncio

import pytest
from sqlalchemy import text

from shiftwork.contracts.workflow import ProjectStart
from shiftwork.errors import Conflict
from shiftwork.temporal import TASK_QUEUE, project_workflow_id
from tests.e2e.lab import SHOW_BRIEF, Lab, no_process_lives
from tests.e2e.support import processes_of, simple_attempt, simple_feature
from workflows.project import ProjectWorkflow

HALF = {"write": {"path": "half.txt", "content": "half\n"}}
HANGING = {"a": [["hang"]]}


async def test_abandoning_ends_the_agent_and_keeps_the_reason(lab: Lab) -> None:
    """An agent that goes on costing money after its project was abandoned."""
    project = await lab.project(sessions={"a": [[HALF, lab.here, "hang"]]})
    await lab.reached()
    assert processes_of(lab.settings.state)
    await lab.shiftwork.abandon(project.id, "no longer needed")
    await no_process_lives(lab)
    status = await project.rest()
    assert (status["status"], status["reason"]) == ("abandoned", "no longer needed")
    handle = await project.workflow()
    result = await handle.result()
    assert (result["status"], result["reason"]) == ("abandoned", "no longer needed")
    with pytest.raises(Conflict, match="is abandoned; it can't be resumed"):
        await lab.shiftwork.resume(project.id)


async def test_cancelling_the_workflow_abandons_the_project(lab: Lab) -> None:
    """Temporal's own Cancel that leaves a project active in the rows, and nobody running it."""
    project = await lab.project(sessions={"a": [[HALF, lab.here, "hang"]]})
    await lab.reached()
    handle = await project.workflow()
    await handle.cancel()
    status = await project.rest()
    assert (status["status"], status["reason"]) == ("abandoned", "cancelled")
    assert (await project.features())["a"].kept_commit is not None
    await handle.result()
    await no_process_lives(lab)


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.06])
async def test_a_cancellation_at_the_very_start_is_not_lost(lab: Lab, delay: float) -> None:
    """A cancellation that arrives while the project is loaded, and is forgotten by what was loaded."""
    project = await lab.project(sessions=HANGING)
    await asyncio.sleep(delay)
    handle = await project.workflow()
    await handle.cancel()
    status = await project.rest()
    assert (status["status"], status["reason"]) == ("abandoned", "cancelled")
    assert (await handle.result())["status"] == "abandoned"


async def test_a_terminated_project_resumes_from_rows_and_main(lab: Lab) -> None:
    """A project that can't go on without the workflow it was begun by."""
    features = [simple_feature("a"), simple_feature("b", "a"), simple_feature("c", "b")]
    slow = {"b": [simple_attempt("b", {"sleep": 0.6}, SHOW_BRIEF)]}
    project = await lab.project(features, slow, planned=False)
    await project.event("attempt_started", "session:2")
    handle = await project.workflow()
    await handle.terminate("somebody pressed the wrong button")
    await no_process_lives(lab)
    after = await project.now()
    await lab.shiftwork.resume(project.id)
    await project.completes(after)
    assert project.landings() == ["a", "b", "c"]
    outcomes = {number: s.outcome for number, s in (await sessions(lab, project.id)).items()}
    assert outcomes == {0: "passed", 1: "passed", 2: "interrupted", 3: "passed", 4: "passed"}


async def test_a_landing_without_a_row_is_recorded_from_its_trailers(lab: Lab) -> None:
    """Work that is on main and is done a second time, because its row was never written."""
    project = await lab.project([simple_feature("a"), simple_feature("b", "a")], max_sessions=1)
    await project.pauses()
    handle = await project.workflow()
    await handle.terminate("between the landing and its row")
    async with lab.shiftwork.store.transaction() as tx:
        # The landing's event stays: events are append-only.
        for statement in (
            "DELETE FROM checkpoints WHERE project_id = :id",
            "DELETE FROM progress WHERE project_id = :id",
            "DELETE FROM evidence WHERE session_id IN (SELECT id FROM sessions WHERE project_id = :id)",
            "DELETE FROM sessions WHERE project_id = :id",
            "UPDATE features SET status = 'in_progress', passed_commit = NULL WHERE project_id = :id",
        ):
            await tx.events._connection.execute(text(statement), {"id": project.id})
    after = await project.now()
    await lab.shiftwork.resume(project.id)
    await project.completes(after)
    assert project.landings() == ["a", "b"]
    async with lab.shiftwork.store.transaction() as tx:
        checkpoints = await tx.checkpoints.list(project.id)
    assert [len(c.passing) for c in checkpoints] == [2, 1]
    assert {n: s.outcome for n, s in (await sessions(lab, project.id)).items()} == {0: "passed", 1: "passed"}


async def test_a_feature_does_not_pass_by_another_project_s_landing(lab: Lab) -> None:
    """Homework marked by nobody: two projects that share a repository and call a feature by the same name."""
    waiting = await lab.project([simple_feature("a", command="false")], autorun=False)
    other = await lab.project([simple_feature("a")], repository=waiting.repository)
    await other.completes()
    await lab.shiftwork.resume(waiting.id)  # which brings the other's landing in
    await waiting.event("people_imported")
    await (await waiting.workflow()).terminate()
    await lab.shiftwork.resume(waiting.id)
    await waiting.event("resumed")
    assert await waiting.statuses() == {"a": "not_started"}
    async with lab.shiftwork.store.transaction() as tx:
        assert await tx.sessions.list(waiting.id) == []


async def test_a_project_whose_repository_is_away_is_loaded_all_the_same(lab: Lab) -> None:
    """A resume that waits for ever for a folder that its user has moved."""
    project = await lab.project([simple_feature("a"), simple_feature("b")], max_sessions=1)
    await project.pauses()
    await (await project.workflow()).terminate()
    project.repository.rename(project.repository.with_name("moved"))
    after = await project.now()
    await lab.shiftwork.resume(project.id)
    await project.completes(after)
    assert project.landings() == ["a", "b"]
    assert any("is gone" in e.data["text"] for e in await project.events("warning"))


async def test_a_terminated_session_does_not_take_its_project_along(lab: Lab) -> None:
    """A project that hangs, or fails, because somebody terminated one session's workflow."""
    project = await lab.project(sessions=HANGING)
    await project.event("attempt_started")
    client = await lab.shiftwork.temporal()
    await client.get_workflow_handle(f"{project_workflow_id(project.id)}-session-0").terminate("oops")
    assert "session 0 was lost" in await project.pauses()
    await no_process_lives(lab)
    assert (await project.features())["a"].attempts == 0


async def test_a_cancelled_session_keeps_its_work(lab: Lab) -> None:
    """Temporal's Cancel on a session that loses what its agent did."""
    steps = [
        HALF,
        lab.here,
        {"run": {"command": '[ -e "$SHIFTWORK_BRIEF/kept.patch" ] || sleep 60'}},
        SHOW_BRIEF,
    ]
    project = await lab.project(sessions={"a": [simple_attempt("a", *steps)]})
    await lab.reached()
    client = await lab.shiftwork.temporal()
    await client.get_workflow_handle(f"{project_workflow_id(project.id)}-session-0").cancel()
    await project.completes()
    assert project.request()["kept_work"]["files"] == ["half.txt"]
    assert (await project.features())["a"].attempts == 0


async def test_a_session_workflow_of_that_number_does_not_hang_the_project(lab: Lab) -> None:
    """A number that is taken, after a loss of rows, stops the project for ever."""
    client = await lab.shiftwork.temporal()
    other = await lab.project(sessions=HANGING)
    project = await other.lab.project(sessions=HANGING, start=False)
    blocker = await client.start_workflow(
        ProjectWorkflow.run,
        ProjectStart(project_id=other.id),
        id=f"{project_workflow_id(project.id)}-session-0",
        task_queue=TASK_QUEUE,
    )
    await lab.shiftwork.open(project.id)
    assert "session 0 was lost" in await project.pauses()
    await blocker.terminate()
    await lab.shiftwork.abandon(other.id)
    after = await project.now()
    await lab.shiftwork.abandon(project.id)
    assert (await project.rest(after))["status"] == "abandoned"


async def sessions(lab: Lab, project_id: str) -> dict:
    async with lab.shiftwork.store.transaction() as tx:
        return {row.number: row for row in await tx.sessions.list(project_id)}
