"""Delivering main into people's repositories: never by force, never over their work."""

from repository_support import git, land, open_folder, person_commits, person_repository, repo, start

from shiftwork.repository import open_user_repository

__all__ = ["open_folder", "repo"]


async def test_files_in_the_way_are_never_overwritten(repo, tmp_path):
    """A landing would overwrite a person's untracked or ignored file, such as their secrets."""
    path = person_repository(tmp_path / "mine")
    person_commits(path, ".gitignore", ".env\n")
    user = await start(repo, path)
    (path / ".env").write_text("SECRET")
    (path / "notes").write_text("mine")
    for session, name in enumerate((".env", "notes"), 1):
        await land(repo, {name: "theirs"}, session)
        result = await user.feed(repo)
        assert not result.branch_updated
        assert "git merge shiftwork/main" in result.warning
    assert (path / ".env").read_text() == "SECRET"
    assert (path / "notes").read_text() == "mine"


async def test_hooks_of_a_person_do_not_run(repo, tmp_path):
    """Delivering a landing would start a person's deployment, or be stopped by their checks."""
    path = person_repository(tmp_path / "mine")
    bare = tmp_path / "bare.git"
    git(tmp_path, "clone", "-q", "--bare", str(path), str(bare))
    ran = tmp_path / "ran"
    names = (
        "post-merge",
        "post-checkout",
        "reference-transaction",
        "pre-receive",
        "update",
        "post-receive",
        "post-update",
    )
    for hooks in (path / ".git/hooks", bare / "hooks"):
        for name in names:
            (hooks / name).write_text(f"#!/bin/sh\necho {name} >>{ran}\nexit 1\n")
            (hooks / name).chmod(0o755)
    user = await start(repo, path)
    other = await open_user_repository(bare)
    landed = await land(repo, {"a": "1"}, 1)
    for one in (user, other):
        assert (await one.feed(repo)).warning is None
    assert git(path, "rev-parse", "main") == git(bare, "rev-parse", "main") == landed
    assert not ran.exists()


async def test_a_bare_repository_gets_its_first_branch(repo, tmp_path):
    """A new bare repository would stay empty."""
    git(tmp_path, "init", "-q", "--bare", "-b", "trunk", "bare.git")
    user = await start(repo, tmp_path / "bare.git")
    landed = await land(repo, {"a": "1"}, 1)
    assert (await user.feed(repo)).branch_updated
    assert git(tmp_path / "bare.git", "rev-parse", "trunk") == landed


async def test_a_branch_elsewhere_moves_without_its_work_tree(repo, tmp_path):
    """Working on another branch would stop deliveries, or be disturbed by them."""
    path = person_repository(tmp_path / "mine")
    user = await start(repo, path)
    git(path, "checkout", "-q", "-b", "topic")
    (path / "README").write_text("edited")
    landed = await land(repo, {"a": "1"}, 1)
    assert (await user.feed(repo)).branch_updated
    assert git(path, "rev-parse", "main") == landed
    assert git(path, "status", "--porcelain") == "M README"
    git(path, "worktree", "add", "-q", str(tmp_path / "linked"), "main")
    (tmp_path / "linked/a").write_text("edited")
    await land(repo, {"a": "2"}, 2)
    result = await user.feed(repo)
    assert not result.branch_updated
    assert (tmp_path / "linked/a").read_text() == "edited"
    git(tmp_path / "linked", "checkout", "-q", "a")
    assert (await user.feed(repo)).branch_updated
    assert (tmp_path / "linked/a").read_text() == "2"


async def test_a_branch_in_a_rebase_or_gone_is_left_alone(repo, tmp_path):
    """A delivery in the middle of a rebase would be undone by its end."""
    path = person_repository(tmp_path / "mine")
    user = await start(repo, path)
    git(path, "checkout", "-q", "-b", "other")
    person_commits(path, "README", "other")
    git(path, "checkout", "-q", "main")
    person_commits(path, "README", "mine")
    assert await repo.swap(await repo.tip(), await user.fetch_into(repo))
    git(path, "rebase", "other", check=False)
    await land(repo, {"a": "1"}, 1)
    assert "being rebased" in (await user.feed(repo)).warning
    git(path, "rebase", "--abort")
    git(path, "checkout", "-q", "other")
    git(path, "branch", "-qD", "main")
    assert "does not exist any more" in (await user.feed(repo)).warning


async def test_a_failed_delivery_is_a_warning(repo, tmp_path):
    """A locked or vanished repository would fail a landing that is safe already."""
    path = person_repository(tmp_path / "mine")
    user = await start(repo, path)
    await land(repo, {"a": "1"}, 1)
    (path / ".git/index.lock").touch()
    result = await user.feed(repo)
    assert "index.lock" in result.warning
    (path / ".git/index.lock").unlink()
    path.rename(tmp_path / "moved")
    assert (await user.feed(repo)).warning
    (tmp_path / "moved").rename(path)
    assert (await user.feed(repo)).branch_updated


async def test_a_delivery_that_was_killed_half_way_is_finished(repo, tmp_path):
    """Files that a killed delivery wrote would look like a person's uncommitted work for ever."""
    path = person_repository(tmp_path / "mine")
    user = await start(repo, path)
    old = git(path, "rev-parse", "HEAD")
    landed = await land(repo, {"a": "1"}, 1)
    await user.feed(repo)
    git(path, "update-ref", "refs/heads/main", old)
    assert git(path, "status", "--porcelain") != ""
    result = await user.feed(repo)
    assert (result.warning, result.branch_updated) == (None, True)
    assert git(path, "rev-parse", "HEAD") == landed


async def test_tags_and_other_refs_of_a_person_stay_theirs(repo, tmp_path):
    """Deliveries would change refs that nobody named."""
    path = person_repository(tmp_path / "mine")
    user = await start(repo, path)
    git(path, "tag", "v1")
    before = git(path, "for-each-ref", "--format=%(refname)").split()
    await land(repo, {"a": "1"}, 1)
    git(repo.path, "tag", "ours", "main")
    await user.feed(repo)
    after = git(path, "for-each-ref", "--format=%(refname)").split()
    assert sorted([*before, "refs/remotes/shiftwork/main"]) == after
    assert not (path / ".git/FETCH_HEAD").exists()
