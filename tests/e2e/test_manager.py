"""A project manager beside a running workflow: what it asks for is accepted by the one writer, or refused."""

import pytest

from client.control import project_manager
from shiftwork.errors import Conflict, InvalidInput
from shiftwork.project_manager import FeatureStatus, ProjectStatus
from tests.e2e.lab import SHOW_BRIEF, Lab, Project, eventually
from tests.e2e.support import simple_attempt, simple_feature

STEP = {"description": "it says so", "command": "grep -qx done by-hand.txt"}


async def test_passing_is_verified_and_never_written(lab: Lab) -> None:
    """What a person says passes is executed on main: true, it lands; false, it costs nothing."""
    project = await lab.project([simple_feature("a"), simple_feature("b", "a")], autorun=False)
    await project.pauses()
    manager = project_manager(lab.shiftwork)
    feature = (await project.features())["a"]
    await manager.update_feature_status(feature.id, FeatureStatus.PASSING)
    await project.event("session_ended", "session:0")
    assert (await project.features())["a"].status is FeatureStatus.FAILING
    for again in range(1, 6):  # as often as identical failures pause a project, and attempts block a feature
        await manager.update_feature_status(feature.id, FeatureStatus.PASSING)
        await project.event("session_ended", f"session:{again}")
    row = (await project.features())["a"]
    assert (row.status, row.attempts) == (FeatureStatus.FAILING, 0)
    assert await project.events("attempt_started") == []

    project.people_commit({"a.txt": "done\n"})
    await manager.update_feature_status(feature.id, FeatureStatus.PASSING)
    await project.event("session_ended", "session:6")
    assert (await project.statuses()) == {"a": "passing", "b": "not_started"}
    assert project.landings() == ["a"]


async def test_why_a_feature_fails_is_told_to_the_agent_that_mends_it(lab: Lab) -> None:
    """If it failed, a person or a model would say what is broken, and the next agent would not know it."""
    project = await lab.project(
        [simple_feature("a")], {"a": [simple_attempt("a"), simple_attempt("a", SHOW_BRIEF)]}
    )
    await project.completes()
    manager, feature = project_manager(lab.shiftwork), (await project.features())["a"]
    after = await project.now()
    row = await manager.update_feature_status(feature.id, FeatureStatus.FAILING, "It greets nobody twice.")
    assert (row.status is FeatureStatus.PASSING, row.last_error) == (False, "It greets nobody twice.")
    await project.completes(after)
    assert project.request()["previous_failure"] == "It greets nobody twice."
    assert (await project.features())["a"].last_error is None


async def test_features_added_and_changed_reach_the_workflow(lab: Lab) -> None:
    """A row written beside the workflow would be overwritten by its memory."""
    project = await lab.project([simple_feature("a")], autorun=False)
    await project.pauses()
    manager = project_manager(lab.shiftwork)
    added = await manager.add_feature(project.id, "c", depends_on=["a"], verification_steps=["look at it"])
    assert (await project.control())["c"].verifiable is False
    await eventually(lambda: _is(project, "c", "blocked"))
    with pytest.raises(InvalidInput, match="can't be verified"):
        await manager.update_feature_status(added.id, FeatureStatus.PASSING)
    await manager.update_feature_status((await project.features())["a"].id, FeatureStatus.BLOCKED)
    assert (await project.control())["a"].status is FeatureStatus.BLOCKED
    with pytest.raises(Conflict, match="has a feature 'c' already"):
        await manager.add_feature(project.id, "c")


async def test_a_project_made_by_hand_runs(lab: Lab) -> None:
    """Rows that a program wrote are a plan: the workflow starts from them, without planning."""
    manager = project_manager(lab.shiftwork)
    made = await manager.create_project(
        f"by hand {lab.folder.name}", "x", lab.folder / "by-hand", init_git=True
    )
    feature = await manager.add_feature(made.id, "by-hand", verification_steps=[STEP])
    (lab.folder / "by-hand" / "by-hand.txt").write_text("done\n")
    await manager.log_progress(made.id, "wrote it", "it is there", git_commit=True)
    await manager.update_project_status(made.id, ProjectStatus.PAUSED, "not yet")
    project = Project(lab, made.id, lab.folder / "by-hand", lab.folder / "none.yml")
    project.people_commit({"by-hand.txt": "done\n"})
    await manager.update_feature_status(feature.id, FeatureStatus.PASSING)
    assert (await manager.get_feature(feature.id)).status is FeatureStatus.NOT_STARTED
    await lab.shiftwork.resume(made.id)
    await project.completes()
    assert project.landings() == ["by-hand"]
    assert [event.kind for event in await project.events("checkpoint")] == ["checkpoint"]


async def test_a_checkpoint_can_be_asked_for_and_gone_back_to(lab: Lab) -> None:
    """A checkpoint is main's tip with what passes there; main itself is not written."""
    project = await lab.project(
        [simple_feature("a", priority=9), simple_feature("b")],
        {"b": [simple_attempt("b")]},
        max_sessions=1,
    )
    await project.pauses()
    commit = await lab.shiftwork.checkpoint(project.id, "before b")
    after = await project.now()
    await lab.shiftwork.resume(project.id)
    await project.completes(after)
    reverted = await lab.shiftwork.revert(project.id, commit)
    assert reverted.commit is not None
    assert reverted.passing == ((await project.features())["a"].id,)


async def _is(project, name: str, status: str) -> bool:
    return (await project.statuses())[name] == status
