"""Finding out what a person's path or address is, before anything is changed there."""

import errno
import os
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote, urlsplit

from shiftwork.errors import InvalidInput
from shiftwork.repository.git import Git, people_environment
from shiftwork.repository.threads import in_thread
from shiftwork.storable import check_text, given_path

STATE_FOLDER = ".shiftwork"
"""The default state folder may lie in a repository; it is nobody's uncommitted work."""


class RepositoryKind(StrEnum):
    """What a path or an address turned out to be."""

    MISSING = "missing"
    EMPTY = "empty folder"
    WORK_TREE = "repository"
    BARE = "bare repository"
    REMOTE = "remote repository"
    NESTED = "folder inside another repository"
    FILES = "folder with files but without git"
    NOT_A_FOLDER = "not a folder"
    NO_PERMISSION = "no permission"


@dataclass(frozen=True, slots=True)
class Description:
    """What is there.

    Attributes:
        kind: see `RepositoryKind`.
        where: the absolute path, or the address as given.
        branch: the branch that is checked out, or the default one of a bare repository; None if detached.
        unborn: whether that branch has no commit yet.
        changes: paths with uncommitted changes, new files included.
        outer: root of the repository that the folder lies in (`NESTED`).
        shallow: whether its history is cut off.
    """

    kind: RepositoryKind
    where: str
    branch: str | None = None
    unborn: bool = False
    changes: tuple[str, ...] = ()
    outer: str | None = None
    shallow: bool = False


async def inspect(where: str | Path) -> Description:
    """Describe a path or an address without changing it, and without the network.

    Raises:
        InvalidInput: it can't be the path or address of anything.
        RepositoryError: there is a repository that git can't read.
    """
    check_text("The repository's path", str(where))
    path = local_path(where)
    if path is None:
        return Description(RepositoryKind.REMOTE, str(where))
    if _is_too_long(path):
        raise InvalidInput(f"Repository {str(path)!r:.200} has too long a name; choose another folder.")
    anchor = path
    while not os.path.lexists(anchor) and anchor != anchor.parent:
        anchor = anchor.parent
    if not anchor.is_dir():
        return Description(RepositoryKind.NOT_A_FOLDER, str(path))
    if not os.access(anchor, os.R_OK | os.W_OK | os.X_OK):
        return Description(RepositoryKind.NO_PERMISSION, str(path))
    return await _existing(path, anchor)


async def _existing(path: Path, anchor: Path) -> Description:
    """Describe a path whose nearest existing folder is the anchor."""
    git = people_git(anchor)
    result = await git.call("rev-parse", "--absolute-git-dir", "--is-bare-repository", "--is-inside-git-dir")
    if result.status and b"not a git repository" in result.stderr:
        return _plain(path)
    if result.status:
        raise git.failure("rev-parse", result)
    git_dir, bare, inside = os.fsdecode(result.stdout).rstrip("\n").rsplit("\n", 2)
    if "true" in {bare, inside}:
        if bare == "true" and path.resolve() == Path(git_dir):
            return await _repository(git, RepositoryKind.BARE, path)
        return Description(RepositoryKind.NESTED, str(path), outer=git_dir)
    top = os.fsdecode((await git.run("rev-parse", "--show-toplevel")).rstrip(b"\n"))
    if path.resolve() == Path(top):
        return await _repository(git, RepositoryKind.WORK_TREE, path)
    if await _is_ignored(git, path, here=anchor == path):
        return _plain(path)
    return Description(RepositoryKind.NESTED, str(path), outer=top)


def local_path(where: str | Path) -> Path | None:
    """The absolute path that is meant; None if it is an address of another machine."""
    text = os.fspath(where)
    if text.startswith("file://"):
        text = unquote(urlsplit(text).path)
    elif "://" in text or (re.match(r"[^/]+:", text) and not os.path.lexists(text)):
        return None
    return Path(os.path.abspath(given_path("The repository's path", text)))  # noqa: PTH100 - `..` goes, links stay


def _is_too_long(path: Path) -> bool:
    try:
        os.lstat(path)
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    return False


def people_git(folder: Path) -> Git:
    """Git in a person's folder, with their configuration and without hooks."""
    return Git(folder, people_environment(), work_tree=True)


def _plain(path: Path) -> Description:
    if not path.exists():
        return Description(RepositoryKind.MISSING, str(path))
    holds_files = any(entry.name != STATE_FOLDER for entry in path.iterdir())
    return Description(RepositoryKind.FILES if holds_files else RepositoryKind.EMPTY, str(path))


async def _repository(git: Git, kind: RepositoryKind, path: Path) -> Description:
    symbolic = await git.call("symbolic-ref", "--quiet", "--short", "HEAD")
    head = await git.call("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    shallow = await git.text("rev-parse", "--is-shallow-repository")
    return Description(
        kind,
        str(path),
        branch=os.fsdecode(symbolic.stdout).strip() if symbolic.status == 0 else None,
        unborn=head.status != 0,
        changes=() if kind is RepositoryKind.BARE else await uncommitted(git),
        shallow=shallow == "true",
    )


async def uncommitted(git: Git, *, untracked: bool = True) -> tuple[str, ...]:
    """The paths of a work tree that differ from its last commit; new files too unless told otherwise."""
    files = "normal" if untracked else "no"
    out = await git.run(
        "status",
        "--porcelain",
        "-z",
        "--no-renames",
        f"--untracked-files={files}",
        "--",
        ":(top)",
        f":(top,exclude){STATE_FOLDER}",
    )
    return await in_thread(lambda: tuple(record[3:] for record in os.fsdecode(out).split("\0")[:-1]))


async def _is_ignored(git: Git, path: Path, *, here: bool) -> bool:
    name = str(path) if here else f"{path}/"
    result = await git.call("check-ignore", "--quiet", "--", name)
    if result.status not in {0, 1}:
        raise git.failure("check-ignore", result)
    return result.status == 0
