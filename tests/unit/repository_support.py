"""What the tests of the repository package share: fixtures, and plain git as people run it."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from shiftwork.repository import (
    LandingInfo,
    PrivateRepository,
    Snapshot,
    UserRepository,
    WorkspacePool,
    open_user_repository,
)
from shiftwork.repository.files import remove_tree

PROJECT = "p1"
AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def git(folder: Path, *args: str, check: bool = True) -> str:
    """Run git as a person with no configuration of their own would; returns its output."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.com",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.com",
    }
    command = ["git", "-C", str(folder), *args]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"git {args}: {done.stderr}")
    return done.stdout.strip()


def person_commits(folder: Path, name: str, text: str, subject: str = "By hand") -> str:
    """A person changes one file and commits it; returns the commit."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", subject)
    return git(folder, "rev-parse", "HEAD")


def person_repository(folder: Path) -> Path:
    """A repository of a person with one commit on main."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    person_commits(folder, "README", "hello\n", "First")
    return folder


def info(session: int, **changes: object) -> LandingInfo:
    """What a landing of this session says."""
    values = {
        "project_id": PROJECT,
        "session": session,
        "feature": f"Feature {session}",
        "subject": f"Add feature {session}",
        "body": "",
        "at": AT,
    }
    return LandingInfo(**{**values, **changes})


async def commit_files(repo: PrivateRepository, parent: str, files: dict[str, str], session: int = 1) -> str:
    """A landing commit with these files laid over its parent; main is not moved."""
    laid = await repo.overlay(await repo.tree_of(parent), files)
    return await repo.make_landing(laid.tree, parent, info(session))


async def land(repo: PrivateRepository, files: dict[str, str], session: int) -> str:
    """Land these files on main as a session."""
    base = await repo.tip()
    landed = await repo.integrate(base, await commit_files(repo, base, files, session), PROJECT, session)
    assert landed is not None
    return landed


async def changed(repo: PrivateRepository, taken: Snapshot) -> tuple[str, ...]:
    """The paths that a snapshot changed, sorted; as many as it says."""
    paths = await repo.changed_paths(f"{taken.commit}^", taken.commit)
    assert len(paths) == taken.changed
    return tuple(sorted(paths))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach, which pytest's own folders are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def run_as_nobody(imports: str, script: str, *arguments: Path) -> str:
    """Run Python code as an ordinary user; returns what it printed. Only root may ask for this.

    The imports run before: that user may have no access to the folders that hold Python.
    """
    code = f"import os\n{imports}\nos.setgroups([]); os.setgid(65534); os.setuid(65534)\n{script}"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest_asyncio.fixture
async def repo(tmp_path: Path) -> PrivateRepository:
    """A new private repository."""
    private = PrivateRepository(tmp_path / "project" / "repository.git")
    await private.create()
    return private


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[WorkspacePool]:
    """A pool on the same file system."""
    folder = tmp_path / "project" / "workspaces"
    yield WorkspacePool(folder)
    # pytest can't remove what is nested without end, and would fail a later run that clears old folders.
    remove_tree(folder)


async def start(repo, path: Path, **options: object) -> UserRepository:
    """What the start of a project does with a repository."""
    user = await open_user_repository(path, **options)
    tip = await user.fetch_into(repo)
    if tip is not None:
        assert await repo.adopt(tip)
    return user
