"""Trees made of two sides: a merge, and files of the harness laid over a candidate."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from shiftwork.errors import InvalidInput, MergeConflict
from shiftwork.repository.editing import edit_tree
from shiftwork.repository.git import Git
from shiftwork.repository.names import folders_of, is_git_name, shown
from shiftwork.repository.objects import BlobSpool, TreeEntry, blob_id, list_tree
from shiftwork.repository.threads import in_thread


@dataclass(frozen=True, slots=True)
class Overlay:
    """A tree with the harness's files laid over it; `replaced` are paths that held something else before."""

    tree: str
    replaced: tuple[str, ...]


async def merge_trees(git: Git, ours: str, theirs: str, *, unrelated: bool = False) -> str:
    """The tree of two commits merged; raises `MergeConflict`."""
    parents, tree = await parents_and_tree(git, theirs)
    if ours in parents:
        return tree
    options = ("--allow-unrelated-histories",) if unrelated else ()
    result = await git.call(
        "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", *options, ours, theirs
    )
    if result.status not in {0, 1}:
        raise git.failure("merge-tree", result)
    if result.status == 0:
        return result.stdout.decode().rstrip("\0")
    paths = await in_thread(lambda: _conflicts(result.stdout))
    raise MergeConflict(f"{_some(paths)} changed on both sides in ways that can't be merged.", paths)


def _conflicts(listing: bytes) -> list[str]:
    _, *paths = os.fsdecode(listing).rstrip("\0").split("\0")
    return sorted({shown(path) for path in paths})


def _some(paths: list[str]) -> str:
    more = f" and {len(paths) - 5} more files" if len(paths) > 5 else ""
    return ", ".join(map(repr, paths[:5])) + more


async def parents_and_tree(git: Git, commit: str) -> tuple[tuple[str, ...], str]:
    """The parents of a commit, and its tree."""
    lines = (await git.text("show", "-s", "--no-show-signature", "--format=%P%n%T", commit)).splitlines()
    return (tuple(lines[0].split()), lines[1]) if len(lines) > 1 else ((), lines[0])


async def lay_over(git: Git, tree: str, files: Mapping[str, str]) -> Overlay:
    """Lay files over a tree; each takes the place of what stands in its way, and a file's mode stays."""
    before = await list_tree(git, tree)
    spool = BlobSpool(git)
    try:
        laid = await in_thread(lambda: _laid(before, files, spool))
        await spool.write()
    finally:
        spool.close()
    changes = {path: entry for path, entry in laid.items() if before.get(path) != entry}
    made = await edit_tree(git, tree, changes)
    return Overlay(made, await in_thread(lambda: _replaced(before, laid)))


def _laid(tree: Mapping[str, TreeEntry], files: Mapping[str, str], spool: BlobSpool) -> dict[str, TreeEntry]:
    """The entry that each file gets; its content goes into the spool unless it is there already."""
    laid = {}
    for name, text in files.items():
        path = _checked(name)
        data = text.encode("utf-8", "surrogateescape")
        standing = tree.get(path)
        mode = standing.mode if standing and standing.mode in {"100644", "100755"} else "100644"
        laid[path] = entry = TreeEntry(mode, blob_id(data))
        if standing != entry:
            spool.put(entry.oid, data)
    return laid


def _checked(name: str) -> str:
    path = PurePosixPath(name)
    parts = path.parts
    if not parts or path.is_absolute() or ".." in parts or "\0" in name or any(map(is_git_name, parts)):
        raise InvalidInput(
            f"File {name!r} must have a relative path, inside the repository and outside .git."
        )
    return str(path)


def _replaced(tree: Mapping[str, TreeEntry], laid: Mapping[str, TreeEntry]) -> tuple[str, ...]:
    """The paths that hold something else now: the files' own, files where they need a folder, files below."""
    above = folders_of(laid)
    found = (
        path
        for path, entry in tree.items()
        if (path in laid and laid[path] != entry) or path in above or _below(path, laid)
    )
    return tuple(sorted(map(shown, found)))


def _below(path: str, laid: Mapping[str, TreeEntry]) -> bool:
    folder = path.rpartition("/")[0]
    while folder and folder not in laid:
        folder = folder.rpartition("/")[0]
    return bool(folder)
