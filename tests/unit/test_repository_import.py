"""People's commits come into main as they are, and main's own line is kept."""

import pytest
from repository_support import PROJECT, git, land, open_folder, person_commits, person_repository, repo, start

from shiftwork.errors import MergeConflict
from shiftwork.repository import open_user_repository

__all__ = ["open_folder", "repo"]


async def test_peoples_commits_are_taken_as_they_are(repo, tmp_path):
    """A person's commit would be copied, and their branch could never be moved forward again."""
    path = person_repository(tmp_path / "mine")
    user = await start(repo, path)
    assert await repo.import_base(await user.fetch_into(repo)) is None
    theirs = person_commits(path, "p", "person")
    tip = await user.fetch_into(repo)
    plan = await repo.import_base(tip)
    assert (plan.commit, plan.fast_forward) == (theirs, True)
    assert plan.tree == await repo.tree_of(theirs)
    assert await repo.swap(plan.base, plan.commit)
    assert await repo.swap(plan.base, plan.commit)
    assert not await repo.swap(plan.base, plan.base.replace("0", "1"))
    assert await repo.import_base(tip) is None


async def test_diverged_commits_are_merged_with_main_first(repo, tmp_path):
    """Landings would vanish from the line on which they are found."""
    path = person_repository(tmp_path / "mine")
    user = await start(repo, path)
    base = await repo.tip()
    landed = await land(repo, {"a": "1"}, 1)
    theirs = person_commits(path, "p", "person")
    assert "has commits of its own" in (await user.feed(repo)).warning
    tip = await user.fetch_into(repo)
    plan = await repo.import_base(tip)
    assert plan == await repo.import_base(tip)
    assert (plan.parents, plan.fast_forward) == ((landed, theirs), False)
    assert set(await repo.entries(plan.commit)) == {"README", "a", "p"}
    assert await repo.swap(plan.base, plan.commit)
    assert [entry.commit for entry in await repo.landings(PROJECT, base)] == [landed]
    assert (await user.feed(repo)).branch_updated
    assert git(path, "rev-parse", "HEAD") == plan.commit
    assert [commit.commit for commit in await repo.people_commits(landed, await repo.tip())] == [theirs]


async def test_a_merge_by_a_person_keeps_mains_line(repo, tmp_path):
    """A person's `git merge shiftwork/main` would hide every landing behind a second parent."""
    path = person_repository(tmp_path / "mine")
    user = await start(repo, path)
    base = await repo.tip()
    landed = await land(repo, {"a": "1"}, 1)
    person_commits(path, "p", "person")
    await user.feed(repo)
    git(path, "merge", "-q", "--no-edit", "shiftwork/main")
    merged = git(path, "rev-parse", "HEAD")
    plan = await repo.import_base(await user.fetch_into(repo))
    assert (plan.parents, plan.fast_forward) == ((landed, merged), False)
    assert plan.tree == await repo.tree_of(merged)
    assert await repo.swap(plan.base, plan.commit)
    assert [entry.session for entry in await repo.landings(PROJECT, base)] == [1]
    assert (await user.feed(repo)).branch_updated


async def test_a_conflict_with_people_is_an_error(repo, tmp_path):
    """Main would hold conflict markers."""
    path = person_repository(tmp_path / "mine")
    user = await start(repo, path)
    await land(repo, {"README": "agent"}, 1)
    person_commits(path, "README", "person")
    tip = await user.fetch_into(repo)
    with pytest.raises(MergeConflict) as caught:
        await repo.import_base(tip)
    assert caught.value.paths == ("README",)


async def test_a_first_commit_after_the_start_joins_main(repo, tmp_path):
    """A person's first commit in an empty repository shares no history with main."""
    user = await start(repo, tmp_path / "new")
    await land(repo, {"a": "1"}, 1)
    person_commits(tmp_path / "new", "p", "person")
    plan = await repo.import_base(await user.fetch_into(repo))
    assert set(await repo.entries(plan.tree)) == {"a", "p"}


async def test_a_rewritten_branch_is_taken_again(repo, tmp_path):
    """After a person's amend nothing of theirs would be fetched any more."""
    path = person_repository(tmp_path / "mine")
    user = await start(repo, path)
    person_commits(path, "p", "1")
    await user.fetch_into(repo)
    git(path, "commit", "-q", "--amend", "-m", "Other words")
    assert await user.fetch_into(repo) == git(path, "rev-parse", "HEAD")


async def test_adopting_never_drops_work(repo, tmp_path):
    """A second start would throw away what had landed."""
    landed = await land(repo, {"a": "1"}, 1)
    path = person_repository(tmp_path / "mine")
    user = await open_user_repository(path)
    assert not await repo.adopt(await user.fetch_into(repo))
    assert await repo.tip() == landed
