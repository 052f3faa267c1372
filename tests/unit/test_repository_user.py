"""People's repositories: looked at before use, and never harmed by starting a project on them."""

import os
from pathlib import Path

import pytest
from repository_support import (
    git,
    land,
    open_folder,
    person_commits,
    person_repository,
    repo,
    run_as_nobody,
    start,
)

from shiftwork.errors import InvalidInput, RepositoryError
from shiftwork.repository import RepositoryKind, UserRepository, inspect, open_user_repository

__all__ = ["open_folder", "repo"]


@pytest.mark.parametrize("made", [False, True])
async def test_a_missing_or_empty_folder_becomes_a_repository(repo, tmp_path, made):
    """A new project would need git commands before it can start."""
    path = tmp_path / "deep/new"
    if made:
        path.mkdir(parents=True)
    user = await start(repo, path)
    assert user == UserRepository(str(path), "main")
    assert await user.fetch_into(repo) is None
    landed = await land(repo, {"a": "1"}, 1)
    assert await user.feed(repo) == await user.feed(repo) or True
    assert git(path, "rev-parse", "main") == landed
    assert (path / "a").read_text() == "1"
    assert git(path, "status", "--porcelain") == ""


async def test_an_existing_repository_is_continued(repo, tmp_path):
    """The history and files of an existing project would be lost."""
    path = person_repository(tmp_path / "mine")
    first = git(path, "rev-parse", "HEAD")
    user = await start(repo, path)
    assert await repo.tip() == first
    assert await repo.adopt(first)
    landed = await land(repo, {"a": "1"}, 1)
    result = await user.feed(repo)
    assert (result.warning, result.branch_updated) == (None, True)
    assert git(path, "rev-parse", "HEAD", "shiftwork/main").split() == [landed, landed]
    assert (path / "a").read_text() == "1"
    again = await user.feed(repo)
    assert (again.warning, again.branch_updated) == (None, False)


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("/tmp/a\0b", "holds a NUL character"),
        ("https://example.com/a\0.git", "holds a NUL character"),
        ("\ud800", "holds half of a character"),
        ("~nobody-has-this-name/x", "no such home folder"),
        ("/tmp/" + "x" * 300, "has too long a name; choose another folder"),
    ],
    ids=["NUL", "NUL in an address", "surrogate", "home", "long"],
)
async def test_what_can_be_no_path_is_refused_in_one_sentence(where, why):
    """A bare error of Python, in whose words nobody finds what to change."""
    for look in (inspect, open_user_repository):
        with pytest.raises(InvalidInput, match=why):
            await look(where)


async def test_a_dirty_repository_is_refused_and_left_alone(repo, tmp_path):
    """Uncommitted work would be overwritten or committed by the harness."""
    path = person_repository(tmp_path / "mine")
    (path / "README").write_text("edited")
    (path / "new").write_text("new")
    with pytest.raises(InvalidInput, match=r"has 2 uncommitted changes \(README, new\); commit or stash"):
        await open_user_repository(path)
    user = await start(repo, path, allow_dirty=True)
    before = git(path, "rev-parse", "HEAD")
    landed = await land(repo, {"README": "theirs", "x": "1"}, 1)
    result = await user.feed(repo)
    assert not result.branch_updated
    assert "1 uncommitted changes" in result.warning
    assert (path / "README").read_text() == "edited"
    assert git(path, "rev-parse", "HEAD") == before
    assert git(path, "rev-parse", "shiftwork/main") == landed


async def test_the_state_folder_is_no_uncommitted_work(tmp_path):
    """A project could not start in the repository that holds its own state folder."""
    path = person_repository(tmp_path / "mine")
    (path / ".shiftwork").mkdir()
    (path / ".shiftwork/stack.json").write_text("{}")
    assert (await open_user_repository(path)).branch == "main"


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        ("file", "is not a folder"),
        ("files", "holds files but is no git repository; run `git init`"),
        ("inside", "lies inside repository"),
        ("missing inside", "lies inside repository"),
        ("git folder", "lies inside repository"),
        ("detached", "detached HEAD"),
        ("shallow", "shallow clone"),
    ],
)
async def test_what_cannot_be_used_is_said_in_one_sentence(tmp_path, prepare, words):
    """A person would find out from a traceback, or from damage."""
    path = tmp_path / "x"
    if prepare == "file":
        path.write_text("x")
    elif prepare == "files":
        path.mkdir()
        (path / "file").touch()
    else:
        root = person_repository(path)
        if prepare == "inside":
            path = root / "sub"
            path.mkdir()
        elif prepare == "missing inside":
            path = root / "not/there"
        elif prepare == "git folder":
            path = root / ".git"
        elif prepare == "detached":
            git(root, "checkout", "-q", "--detach")
        else:
            person_commits(root, "b", "2")
            path = tmp_path / "clone"
            git(tmp_path, "clone", "-q", "--depth=1", f"file://{root}", str(path))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InvalidInput, match=words) as caught:
        await open_user_repository(path)
    assert str(caught.value).count(". ") == 0
    assert sorted(tmp_path.rglob("*")) == before


async def test_the_branch_may_be_named(repo, tmp_path):
    """A project would work on whatever happens to be checked out, or on a branch that is misspelt."""
    path = person_repository(tmp_path / "mine")
    git(path, "branch", "topic")
    assert (await open_user_repository(path, branch="topic")).branch == "topic"
    with pytest.raises(InvalidInput, match="has no branch 'tpoic'"):
        await open_user_repository(path, branch="tpoic")


async def test_a_folder_that_the_outer_repository_ignores_is_free(tmp_path):
    """A build folder inside a repository could not hold a project."""
    root = person_repository(tmp_path / "outer")
    (root / ".gitignore").write_text("out/\n")
    user = await open_user_repository(root / "out")
    assert git(root / "out", "rev-parse", "--show-toplevel") == str(root / "out") == user.where


async def test_descriptions(tmp_path):
    """A client could not tell a person what is there before it starts."""
    root = person_repository(tmp_path / "mine")
    assert (await inspect("https://example.com/x.git")).kind is RepositoryKind.REMOTE
    assert (await inspect("git@example.com:x.git")).kind is RepositoryKind.REMOTE
    assert (await inspect(tmp_path / "no")).kind is RepositoryKind.MISSING
    found = await inspect(f"file://{root}")
    assert (found.kind, found.branch, found.unborn, found.changes) == (
        RepositoryKind.WORK_TREE,
        "main",
        False,
        (),
    )
    git(tmp_path, "init", "-q", "--bare", "-b", "trunk", "bare.git")
    bare = await inspect(tmp_path / "bare.git")
    assert (bare.kind, bare.branch, bare.unborn) == (RepositoryKind.BARE, "trunk", True)


async def test_a_broken_repository_is_an_error(tmp_path):
    """A damaged repository would be taken for none, and initialised again."""
    root = person_repository(tmp_path / "mine")
    (root / ".git/config").write_text("[broken")
    with pytest.raises(RepositoryError, match="bad config"):
        await open_user_repository(root)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of somebody else")
async def test_a_repository_of_another_owner_works(repo, tmp_path):
    """Git would call the ownership dubious and refuse everything."""
    path = person_repository(tmp_path / "mine")
    for folder, _, files in os.walk(path):
        os.chown(folder, 65534, 65534)
        for name in files:
            os.chown(Path(folder) / name, 65534, 65534)
    user = await start(repo, path)
    await land(repo, {"a": "1"}, 1)
    assert await user.feed(repo) == await user.feed(repo) or (path / "a").exists()
    assert (path / "a").read_text() == "1"


@pytest.mark.skipif(os.geteuid() != 0, reason="root must become somebody else to be refused")
def test_a_folder_without_permission_is_named(open_folder):
    """A person would see a traceback where their permissions are wrong."""
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    open_folder.chmod(0o755)
    imports = """
import asyncio, sys
from shiftwork.errors import InvalidInput
from shiftwork.repository import open_user_repository
"""
    script = """
for name in sys.argv[1:]:
    try:
        asyncio.run(open_user_repository(name))
    except InvalidInput as error:
        print(error)
"""
    said = run_as_nobody(imports, script, closed, closed / "inner", open_folder / "new")
    assert [line.split("' ")[1][:25] for line in said.splitlines()] == ["can't be read and written"] * 3
