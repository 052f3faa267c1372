"""Going back: main only moves forward, and what is known goes back with the files."""

import pytest
from temporalio.client import WorkflowUpdateFailedError

from shiftwork.contracts.feature import FeatureSpec
from shiftwork.contracts.messages import Revert
from shiftwork.contracts.outbox import DecisionNote
from shiftwork.errors import Conflict
from tests.e2e.lab import Lab, Project, no_process_lives
from tests.e2e.support import git, simple_attempt, simple_feature
from workflows.project import ProjectWorkflow


def decides(text: str) -> dict:
    return {"decision": {"decision": text, "reasoning": "it seemed right"}}


async def checkpoints(project: Project) -> dict[str, str]:
    """The commit of each feature's landing."""
    return {e.data["feature"]: e.reference.removeprefix("commit:") for e in await project.events("landed")}


async def test_everything_goes_back_to_the_checkpoint(lab: Lab) -> None:
    """Statuses, files or decisions that stay what they were after a revert; history that is rewritten."""
    names = ["a", "b", "c"]
    features = [simple_feature("a"), simple_feature("b", "a"), simple_feature("c", "b")]
    sessions = {name: [simple_attempt(name, decides(f"{name} first"))] for name in [*names, "d"]}
    project = await lab.project(features, sessions, autorun=False)
    await project.pauses()
    for name in names[:2]:
        number = await lab.shiftwork.run_session(project.id, name)
        await lab.shiftwork.wait_session(project.id, number)
    await lab.shiftwork.add_feature(project.id, FeatureSpec.model_validate(simple_feature("d", "a")))
    number = await lab.shiftwork.run_session(project.id, "c")
    await lab.shiftwork.wait_session(project.id, number)
    before = git(project.main, "rev-parse", "main")
    target = (await checkpoints(project))["a"]

    result = await lab.shiftwork.revert(project.id, target[:10])
    assert result.passing == ((await project.features())["a"].id,)
    assert result.undone == 2
    await project.event("reverted")
    assert await project.statuses() == {"a": "passing", **dict.fromkeys("bcd", "not_started")}
    assert git(project.main, "rev-parse", "main^{tree}") == git(
        project.main, "rev-parse", f"{target}^{{tree}}"
    )
    assert git(project.main, "rev-parse", "main^") == before
    assert git(project.repository, "rev-parse", "main") == result.commit
    async with lab.shiftwork.store.transaction() as tx:
        decisions = {d.decision: d.outcome for d in await tx.decisions.history(project.id)}
    assert decisions == {"a first": "success", "b first": "reverted", "c first": "reverted"}

    after = await project.now()
    await lab.shiftwork.resume(project.id, autorun=True)
    await project.completes(after)
    assert project.landings() == ["a", "b", "c", "b", "c", "d"]
    # And once more, to a checkpoint from before the first revert, of a completed project.
    again = await lab.shiftwork.revert(project.id, target)
    assert again.undone == 6
    assert again.commit != result.commit
    await lab.shiftwork.abandon(project.id)


async def test_undoing_a_revert_gives_decisions_their_outcomes_back(lab: Lab) -> None:
    """Briefs that warn of decisions as taken back, though the work they led to is on main again."""
    names = ["a", "b"]
    project = await lab.project(
        [simple_feature("a"), simple_feature("b", "a")],
        {name: [simple_attempt(name, decides(f"use {name}"))] for name in names},
        autorun=False,
    )
    await project.pauses()
    for name in names:
        number = await lab.shiftwork.run_session(project.id, name)
        await lab.shiftwork.wait_session(project.id, number)
    landed = await checkpoints(project)
    outcomes = []
    reverted = await lab.shiftwork.revert(project.id, landed["a"])
    for target in (None, landed["b"], reverted.commit):
        if target is not None:
            await lab.shiftwork.revert(project.id, target)
        async with lab.shiftwork.store.transaction() as tx:
            rows = await tx.decisions.history(project.id)
        outcomes.append({row.decision: (row.outcome, row.score) for row in rows})
    undone = {"use a": ("success", 0.5), "use b": ("reverted", -0.25)}
    assert outcomes == [undone, dict.fromkeys(undone, ("success", 0.5)), undone]


async def test_what_was_decided_before_the_checkpoint_goes_with_the_landing_it_led_to(lab: Lab) -> None:
    """A decision of interrupted work that stays a success after the landing it led to is undone."""
    slow = [[decides("slow first"), {"ask": "Which one?"}], [decides("slow last"), *simple_attempt("slow")]]
    sessions = {"slow": slow, "quick": [simple_attempt("quick", decides("quick first"))]}
    features = [simple_feature("slow", priority=1), simple_feature("quick")]
    project = await lab.project(features, sessions)
    await project.pauses()
    async with lab.shiftwork.store.transaction() as tx:
        note = DecisionNote(decision="a person's")
        await tx.decisions.record(project.id, None, 0, 0, note)
    after = await project.now()
    await lab.shiftwork.answer(project.id, "slow", "The second.")
    await project.completes(after)
    target = (await checkpoints(project))["quick"]
    await lab.shiftwork.revert(project.id, target)
    async with lab.shiftwork.store.transaction() as tx:
        decisions = {d.decision: d.outcome for d in await tx.decisions.history(project.id)}
    assert decisions == {
        "slow first": "reverted",
        "slow last": "reverted",
        "quick first": "success",
        "a person's": None,
    }
    await lab.shiftwork.abandon(project.id)


async def test_a_running_session_is_interrupted_first(lab: Lab) -> None:
    """A landing that slips in behind a revert, or a session that pays for it."""
    features = [simple_feature("a"), simple_feature("b", "a")]
    half = {"write": {"path": "half.txt", "content": "half\n"}}
    project = await lab.project(features, {"b": [[half, lab.here, {"sleep": 60}]]})
    await lab.reached()
    target = (await checkpoints(project))["a"]
    result = await lab.shiftwork.revert(project.id, target)
    assert git(project.main, "rev-parse", "main") == result.commit
    [_, second] = await project.events("session_ended")
    assert second.data["outcome"] == "interrupted: reverting"
    await project.event("attempt_started", "session:2")
    assert (await project.features())["b"].attempts == 0
    await lab.shiftwork.abandon(project.id)
    await no_process_lives(lab)


async def test_people_are_asked_first(lab: Lab) -> None:
    """A person's commits that a revert undoes without a word."""
    project = await lab.project([simple_feature("a"), simple_feature("b", "a")], max_sessions=1)
    await project.pauses()
    commit = project.people_commit({"people.txt": "hello\n"}, "My own work")
    after = await project.now()
    await lab.shiftwork.resume(project.id)
    await project.completes(after)
    target = (await checkpoints(project))["a"]
    tip = git(project.main, "rev-parse", "main")
    with pytest.raises(
        Conflict, match=f"would undo 1 commits of people: {commit[:10]} .My own work.; give consent"
    ):
        await lab.shiftwork.revert(project.id, target)
    assert git(project.main, "rev-parse", "main") == tip
    assert await project.statuses() == {"a": "passing", "b": "passing"}
    result = await lab.shiftwork.revert(project.id, target, consent=True)
    assert result.undone == 2
    await project.event("reverted")
    await project.event("session_ended", "session:2")
    await project.completes()
    assert project.files() == ["a.txt", "b.txt"]
    assert git(project.repository, "rev-parse", "main") == git(project.main, "rev-parse", "main")


async def test_one_update_reverts_once(lab: Lab) -> None:
    """A client that asks again, with the same id, and reverts a second time."""
    project = await lab.project(
        [simple_feature("a"), simple_feature("b", "a")], max_sessions=2, max_attempts=1
    )
    await project.completes()
    await lab.shiftwork.add_feature(
        project.id, FeatureSpec.model_validate(simple_feature("z", command="false", priority=1))
    )
    await project.pauses()
    target = (await checkpoints(project))["a"]
    handle = await project.workflow()
    await lab.shiftwork.pause(project.id)
    request = Revert(commit=target)
    first = await handle.execute_update(ProjectWorkflow.revert_to_checkpoint, request, id="revert-once")
    second = await handle.execute_update(ProjectWorkflow.revert_to_checkpoint, request, id="revert-once")
    assert first == second
    subjects = git(project.main, "log", "--first-parent", "--format=%s", "main").splitlines()
    assert len([s for s in subjects if s.startswith("Revert to")]) == 1
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update(ProjectWorkflow.revert_to_checkpoint, Revert(commit="0" * 40))
