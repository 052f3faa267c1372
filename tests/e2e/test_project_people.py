"""People commit on their branch while a project runs: their work flows in, and is never undone unasked."""

import shutil

from tests.e2e.lab import Lab
from tests.e2e.support import git, simple_attempt, simple_feature

TWO = [simple_feature("a"), simple_feature("b", "a")]


async def test_a_commit_between_sessions_becomes_part_of_main(lab: Lab) -> None:
    """A person's commit that is overwritten, or that the next session does not build on."""
    project = await lab.project(TWO, max_sessions=1)
    await project.pauses()
    assert git(project.repository, "log", "-1", "--format=%s", "main") == "a"  # fed, and forwarded
    commit = project.people_commit({"people.txt": "hello\n"})
    after = await project.now()
    await lab.shiftwork.resume(project.id)
    await project.completes(after)
    assert project.read("people.txt") == "hello"
    assert commit in git(project.main, "log", "--format=%H", "main").split()
    assert git(project.repository, "rev-parse", "main") == git(project.main, "rev-parse", "main")
    [imported] = await project.events("people_imported")
    assert (imported.data["commit"], imported.data["broken"]) == (commit, [])


async def test_a_commit_during_a_session_is_merged(lab: Lab) -> None:
    """A landing that is refused, or a person's commit that is lost, because both came at once."""
    slow = {"a": [simple_attempt("a", {"sleep": 1})]}
    project = await lab.project(TWO, slow)
    await project.event("attempt_started")
    (project.repository / "people.txt").write_text("hello\n")
    commit = project.people_commit({"people.txt": "hello\n"})
    await project.completes()
    assert project.files() == ["a.txt", "b.txt", "people.txt"]
    assert commit in git(project.main, "log", "--format=%H", "main").split()
    assert project.landings() == ["a", "b"]
    assert git(project.repository, "rev-parse", "main") == git(project.main, "rev-parse", "main")


async def test_people_may_break_a_feature_and_it_says_who_did(lab: Lab) -> None:
    """A person's commit that is refused, or a broken feature that counts as passing."""
    mend = simple_attempt("a")
    project = await lab.project(TWO, {"a": [simple_attempt("a"), mend]}, max_sessions=1)
    await project.pauses()
    commit = project.people_commit({"a.txt": "mine now\n"}, "Take over")
    after = await project.now()
    await lab.shiftwork.resume(project.id, max_sessions=1)
    await project.event("people_imported")
    feature = (await project.features())["a"]
    assert f"Broken by commit {commit[:12]} of a person (Take over)." in (feature.last_error or "")
    await project.pauses(after)
    after = await project.now()
    await lab.shiftwork.resume(project.id, max_sessions=9)
    await project.completes(after)
    assert project.read("a.txt") == "done"
    assert (await project.features())["a"].attempts == 0
    assert project.landings() == ["a", "a", "b"]


async def test_a_conflict_pauses_until_the_person_merges(lab: Lab) -> None:
    """A conflict that loses one side, or leaves the project hanging without a word."""
    slow = {"a": [simple_attempt("a", {"sleep": 1})]}
    project = await lab.project(TWO, slow)
    await project.event("attempt_started")
    project.people_commit({"a.txt": "people's\n"})
    reason = await project.pauses()
    assert "conflicts with shiftwork/main in 1 files: merge shiftwork/main into it, then resume" in reason
    again = await project.now()
    await lab.shiftwork.resume(project.id)  # nothing was merged: it must say so again
    assert "conflicts with shiftwork/main" in await project.pauses(again)
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    git(project.repository, *identity, "merge", "-q", "-X", "theirs", "shiftwork/main", "-m", "Merge")
    after = await project.now()
    await lab.shiftwork.resume(project.id)
    await project.completes(after)
    assert project.read("a.txt") == "done"
    assert project.landings() == ["a", "b"]
    assert git(project.repository, "rev-parse", "main") == git(project.main, "rev-parse", "main")


async def test_uncommitted_changes_are_never_touched(lab: Lab) -> None:
    """A person's unsaved work that a landing overwrites."""
    project = await lab.project(TWO, max_sessions=1)
    await project.pauses()
    (project.repository / "a.txt").write_text("what I am just writing\n")
    after = await project.now()
    await lab.shiftwork.resume(project.id)
    await project.completes(after)
    assert (project.repository / "a.txt").read_text() == "what I am just writing\n"
    assert git(project.repository, "log", "-1", "--format=%s", "main") == "a"
    assert git(project.repository, "log", "-1", "--format=%s", "shiftwork/main") == "b"
    texts = [e.data["text"] for e in await project.events("warning")]
    assert any("is checked out with 1 uncommitted changes" in text for text in texts)


async def test_landings_go_on_without_the_users_repository(lab: Lab) -> None:
    """A deleted folder of the user's that takes the project along."""
    slow = {"a": [simple_attempt("a", {"sleep": 0.7})]}
    project = await lab.project(TWO, slow)
    await project.event("attempt_started")
    shutil.rmtree(project.repository)
    await project.completes()
    assert project.landings() == ["a", "b"]
    texts = [e.data["text"] for e in await project.events("warning")]
    assert any("is gone" in text for text in texts)
    assert not project.repository.exists()


async def test_people_commit_while_features_complete(lab: Lab) -> None:
    """A project that completes without looking at what a person committed last."""
    slow = {"b": [simple_attempt("b", {"sleep": 1})]}
    repair = [simple_attempt("a"), simple_attempt("a")]
    project = await lab.project(TWO, {**slow, "a": repair})
    await project.event("attempt_started", "session:1")
    project.people_commit({"a.txt": "broken at the end\n"})
    await project.completes()
    assert project.landings() == ["a", "b", "a"]
    assert project.read("a.txt") == "done"
