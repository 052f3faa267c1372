"""The project manager against a real PostgreSQL and real git: what it promises, and what it refuses."""

import subprocess

import pytest

from client import DecisionMemory, ProgressEntry, ProjectFeature, ProjectState, SessionState
from shiftwork.contracts.outbox import Handoff
from shiftwork.errors import Conflict, InvalidInput, NotFound, RepositoryError
from shiftwork.project_manager import (
    DecisionOutcome,
    FeatureCategory,
    FeatureStatus,
    ProjectManager,
    ProjectStatus,
    RowControl,
    SyncProjectManager,
)

RUNS = [{"command": "true"}]


@pytest.fixture
def manager(store):
    return ProjectManager(store)


def git(*arguments):
    subprocess.run(["git", *arguments], check=True)


async def names(manager, project, order):
    """The names of the features that are next, each worked on and passed in turn."""
    async with manager._store.transaction() as tx:
        for feature_id in order:
            revision = await tx.projects.next_revision(project.id)
            await tx.features.save(feature_id, revision, status=FeatureStatus.PASSING)
    feature = await manager.get_next_feature_to_work_on(project.id)
    return None if feature is None else feature.name


async def test_the_documented_example(manager, tmp_path):
    """If it failed, the program in the documentation would not work as it is written there."""
    project = await manager.create_project(
        name="My Project",
        description="Description",
        working_directory=str(tmp_path / "project"),
        init_git=True,
    )
    feature = await manager.add_feature(
        project_id=project.id,
        name="User Login",
        description="Users can log in with email and password",
        category=FeatureCategory.FUNCTIONAL,
        priority=9,
        verification_steps=["Open login page", "Enter credentials", "See dashboard"],
    )
    await manager.log_progress(
        project_id=project.id,
        action="Implemented login",
        outcome="Login works, ready for testing",
        git_commit=True,
    )
    decision = await manager.record_decision(
        project_id=project.id,
        context="Need to choose between REST and GraphQL",
        decision="Using REST API",
        reasoning="Simpler for this use case, team familiarity",
        tags=["architecture", "api"],
    )
    judged = await manager.update_decision_outcome(
        decision_id=decision.id, outcome=DecisionOutcome.SUCCESS, score=2, lesson="REST worked well"
    )
    assert (judged.score, judged.lesson) == (1.0, "REST worked well")
    assert await manager.get_relevant_decisions(project.id, tags=["api"], limit=5) == [judged]
    found = await manager.get_project_by_name("My Project")
    assert found == await manager.get_project(project.id)
    assert (await manager.get_next_feature_to_work_on(project.id)) == feature
    assert (await manager.get_progress_as_text(project.id)).endswith(
        "person: Implemented login: Login works, ready for testing"
    )
    assert (await manager.get_project_status(project.id))["total_features"] == 1


async def test_what_it_returns_has_public_names(manager):
    """If it failed, a program could not say what it was given without our inner modules."""
    project = await manager.create_project("chat")
    feature = await manager.add_feature(project.id, "login", verification_steps=RUNS)
    progress = await manager.log_progress(project.id, "looked", "it is there")
    decision = await manager.record_decision(project.id, "storage", "SQLite")
    session = await manager.start_session(project.id, feature.id)
    rows = {
        ProjectState: project,
        ProjectFeature: feature,
        ProgressEntry: progress,
        DecisionMemory: decision,
        SessionState: session,
    }
    assert all(type(row) is kind for kind, row in rows.items())


async def test_passing_is_never_written(manager, store):
    """If it failed, a feature could count as done because somebody says so."""
    project = await manager.create_project("chat")
    told = await manager.add_feature(project.id, "told", verification_steps=["look at it"])
    with pytest.raises(InvalidInput, match=r"'told' can't be verified.*command"):
        await manager.update_feature_status(told.id, FeatureStatus.PASSING)
    shown = await manager.add_feature(project.id, "shown", verification_steps=RUNS)
    row = await manager.update_feature_status(shown.id, FeatureStatus.PASSING)
    assert row.status is FeatureStatus.NOT_STARTED
    async with store.transaction() as tx:
        [event] = await tx.events.last(project.id)
    assert (event.kind, event.data["feature"]) == ("verification_requested", "shown")


async def test_other_statuses_are_written_with_their_reason(manager):
    """If it failed, a person could not set a feature aside, or would not learn why it is."""
    project = await manager.create_project("chat")
    feature = await manager.add_feature(project.id, "login")
    row = await manager.update_feature_status(feature.id, FeatureStatus.BLOCKED, "no server")
    assert (row.status, row.blocked_reason) == (FeatureStatus.BLOCKED, "no server")
    row = await manager.update_feature_status(feature.id, FeatureStatus.FAILING, "it broke")
    assert (row.status, row.blocked_reason, row.last_error) == (FeatureStatus.FAILING, None, "it broke")
    row = await manager.edit_feature(feature.id, priority=10, verification_steps=RUNS)
    assert (row.priority, row.problem) == (10, None)


async def test_next_feature_follows_the_rules(manager):
    """If it failed, sessions would work on what can't be finished, or on the less important first."""
    project = await manager.create_project("chat")
    rows = await manager.add_features_bulk(
        project.id,
        [
            {"name": "late", "priority": 10, "depends_on": ["base"]},
            {"name": "low", "priority": 2},
            {"name": "base", "priority": 8},
            {"name": "failing", "priority": 9},
        ],
    )
    ids = {row.name: row.id for row in rows}
    await manager.update_feature_status(ids["failing"], FeatureStatus.FAILING)
    assert await names(manager, project, []) == "base"
    await manager.update_feature_status(ids["low"], FeatureStatus.IN_PROGRESS)
    assert await names(manager, project, []) == "low"
    assert await names(manager, project, [ids["low"], ids["base"]]) == "late"
    assert await names(manager, project, [ids["late"]]) == "failing"
    assert await names(manager, project, [ids["failing"]]) is None


@pytest.mark.parametrize(
    ("features", "sentence"),
    [
        ([{"name": "a", "depends_on": ["b"]}, {"name": "b", "depends_on": ["a"]}], "cycle"),
        ([{"name": "a"}, {"name": "b", "depends_on": ["ghost"]}], "'ghost'"),
        ([{"name": "a"}, {"name": " "}], "name"),
        ([{"name": "a"}, {"name": "b", "priority": 11}], "priority"),
        ([{"name": "a"}, {"name": "a"}], "'a'"),
        ([{"name": "a"}, {"name": "b", "verification_steps": [{"comand": "x"}]}], "comand"),
    ],
)
async def test_bad_features_change_nothing(manager, features, sentence):
    """If it failed, half of a wrong list would stay in the project."""
    project = await manager.create_project("chat")
    with pytest.raises((InvalidInput, Conflict), match=sentence):
        await manager.add_features_bulk(project.id, features)
    assert await manager.get_project_features(project.id) == []


async def test_running_project_is_left_to_its_workflow(manager, store):
    """If it failed, rows would say something else than the workflow, which would overwrite them."""
    project = await manager.create_project("chat")
    feature = await manager.add_feature(project.id, "login", verification_steps=RUNS)
    session = await manager.start_session(project.id)
    async with store.transaction() as tx:
        await tx.projects.save(project.id, 99, status=ProjectStatus.ACTIVE)
    changes = [
        manager.add_feature(project.id, "more"),
        manager.edit_feature(feature.id, priority=1),
        manager.update_feature_status(feature.id, FeatureStatus.BLOCKED),
        manager.update_feature_status(feature.id, FeatureStatus.PASSING),
        manager.update_project_status(project.id, ProjectStatus.PAUSED),
        manager.log_progress(project.id, "work", git_commit=True),
        manager.start_session(project.id),
        manager.end_session(session.id),
        manager.delete_project(project.id),
    ]
    for change in changes:
        with pytest.raises(Conflict, match="is active: while it runs, only its workflow changes it"):
            await change
    assert (await manager.get_feature(feature.id)) == feature
    assert await manager.get_progress_log(project.id) == []
    await manager.log_progress(project.id, "work")
    await manager.record_decision(project.id, "", "memory is not control state")


async def test_whether_a_workflow_runs_can_be_asked(store):
    """If it failed, a client that knows better could not say so."""

    async def running(project):
        return project.name == "busy"

    manager = ProjectManager(store, RowControl(store, running))
    idle, busy = await manager.create_project("idle"), await manager.create_project("busy")
    await manager.add_feature(idle.id, "login")
    with pytest.raises(Conflict, match="'busy'"):
        await manager.add_feature(busy.id, "login")


async def test_project_status(manager):
    """If it failed, a project could claim to be complete, or to run with nothing running it."""
    project = await manager.create_project("chat")
    row = await manager.update_project_status(project.id, ProjectStatus.PAUSED, "holidays")
    assert (row.status, row.status_reason) == (ProjectStatus.PAUSED, "holidays")
    with pytest.raises(Conflict, match="start or resume"):
        await manager.update_project_status(project.id, ProjectStatus.ACTIVE)
    with pytest.raises(Conflict, match="no features"):
        await manager.update_project_status(project.id, ProjectStatus.COMPLETED)
    feature = await manager.add_feature(project.id, "login")
    with pytest.raises(Conflict, match="'login' does not pass"):
        await manager.update_project_status(project.id, ProjectStatus.COMPLETED)
    assert await names(manager, project, [feature.id]) is None
    await manager.update_project_status(project.id, ProjectStatus.COMPLETED)
    assert [p.name for p in await manager.list_projects(ProjectStatus.COMPLETED)] == ["chat"]
    assert await manager.delete_project(project.id)
    assert not await manager.delete_project(project.id)
    assert await manager.list_projects() == []


async def test_sessions_of_people(manager):
    """If it failed, work done by hand would leave no trace and no handover."""
    project = await manager.create_project("chat")
    feature = await manager.add_feature(project.id, "login")
    assert await manager.get_last_session(project.id) is None
    session = await manager.start_session(project.id, feature.id)
    ended = await manager.end_session(session.id, handoff=Handoff(summary="half", last_action="wrote tests"))
    assert (ended.number, ended.outcome, ended.last_action) == (1, "completed", "wrote tests")
    assert ended.handoff is not None
    assert ended.handoff.summary == "half"
    assert await manager.get_last_session(project.id) == ended
    assert (await manager.start_session(project.id)).number == 2
    other = await manager.create_project("other")
    with pytest.raises(InvalidInput, match="another project"):
        await manager.start_session(other.id, feature.id)


async def test_git_log_and_revert(manager, tmp_path):
    """If it failed, people could not see the project's commits, or a revert could skip the workflow."""
    folder = tmp_path / "chat"
    project = await manager.create_project("chat", working_directory=folder)
    assert await manager.get_git_log(project.id) == []
    who = ("-c", "user.name=Eva", "-c", "user.email=eva@example.org")
    for subject in ("first", "second: ünï"):
        git(*who, "-C", folder, "commit", "-q", "--allow-empty", "-m", subject)
    newest, oldest = await manager.get_git_log(project.id)
    assert (newest.subject, oldest.subject, newest.author) == ("second: ünï", "first", "Eva")
    assert await manager.get_git_log(project.id, limit=1) == [newest]
    with pytest.raises(NotFound, match="checkpoint"):
        await manager.git_revert_to_commit(project.id, newest.commit)
    async with manager._store.transaction() as tx:
        await tx.checkpoints.add(project.id, newest.commit, None, [])
    with pytest.raises(Conflict, match="shiftwork revert"):
        await manager.git_revert_to_commit(project.id, newest.commit[:8])


async def test_existing_repository_is_left_alone(manager, tmp_path):
    """If it failed, taking a folder into a project would change the repository that is there."""
    git("init", "-q", "-b", "trunk", tmp_path)
    head = (tmp_path / ".git" / "HEAD").read_text()
    await manager.create_project("chat", working_directory=tmp_path)
    assert (tmp_path / ".git" / "HEAD").read_text() == head


async def test_project_without_its_repository_is_not_created(manager, tmp_path):
    """If it failed, a project would be left behind that can't work and whose name is taken."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RepositoryError, match="can't be made"):
        await manager.create_project("chat", working_directory=tmp_path / "file" / "chat")
    assert await manager.get_project_by_name("chat") is None
    with pytest.raises(InvalidInput, match="name"):
        await manager.create_project("  ")


async def test_what_is_unknown_is_none_or_not_found(manager):
    """If it failed, a wrong id would end in a traceback of the database."""
    project = await manager.create_project("chat")
    assert await manager.get_project("nonsense") is None
    assert await manager.get_feature(2**80) is None
    for work in (
        manager.get_next_feature_to_work_on("nonsense"),
        manager.update_feature_status(1, FeatureStatus.FAILING),
        manager.end_session(1),
        manager.end_session(2**80),
        manager.log_progress("nonsense", "x"),
        manager.record_decision("nonsense", "", "x"),
        manager.get_git_log("nonsense"),
        manager.get_progress_log("nonsense"),
        manager.get_relevant_decisions("nonsense"),
    ):
        with pytest.raises(NotFound):
            await work
    with pytest.raises(InvalidInput, match="decision"):
        await manager.record_decision(project.id, "", "")


def test_synchronous_form(database_url):
    """If it failed, programs without an event loop could not use projects at all."""
    with SyncProjectManager(database_url) as manager:
        project = manager.create_project("chat", description="sync")
        feature = manager.add_feature(project.id, "login", verification_steps=RUNS)
        assert manager.get_next_feature_to_work_on(project.id) == feature
        with pytest.raises(Conflict, match="'chat'"):
            manager.create_project("chat")
        with pytest.raises(AttributeError):
            manager.nonsense()
        assert "add_features_bulk" in dir(manager)
    manager.close()
    with pytest.raises(RuntimeError, match="closed"):
        manager.list_projects()


def test_synchronous_form_without_a_server():
    """If it failed, a stopped server would leave a thread behind that keeps the program from ending."""
    with pytest.raises(Exception, match="can't be reached"):
        SyncProjectManager("postgresql://u@127.0.0.1:1/x")


@pytest.mark.parametrize("where", ["a\0b", "~nobody-has-this-name/x"])
async def test_a_project_is_not_made_for_a_path_that_none_can_be(manager, where):
    """A bare error of Python, or a project in a folder that nobody finds."""
    with pytest.raises(
        InvalidInput, match=r"^working_directory (holds a NUL character|is .* no such home folder)"
    ):
        await manager.create_project("chat", working_directory=where)
    assert await manager.list_projects() == []
