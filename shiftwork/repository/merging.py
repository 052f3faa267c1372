"""Trees made of two sides: a merge, and files of the harness laid over a candidate."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from shiftwork.errors import InvalidInput, MergeConflict
from shiftwork.repository.git import Git
from shiftwork.repository.names import is_git_name, shown
from shiftwork.repository.objects import BlobSpool, TreeEntry, blob_id, edit_tree, list_tree


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
    merged, *conflicts = os.fsdecode(result.stdout).rstrip("\0").split("\0")
    if result.status == 0:
        return merged
    paths = sorted({shown(path) for path in conflicts})
    raise MergeConflict(f"{_some(paths)} changed on both sides in ways that can't be merged.", paths)


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
    changes: dict[str, TreeEntry | None] = {}
    replaced: set[str] = set()
    try:
        for name, text in files.items():
            path = _checked(name)
            data = text.encode("utf-8", "surrogateescape")
            standing = before.get(path)
            mode = standing.mode if standing and standing.mode in {"100644", "100755"} else "100644"
            entry = TreeEntry(mode, blob_id(data))
            if standing != entry:
                spool.put(entry.oid, data)
                changes[path] = entry
            replaced.update(other for other in _in_the_way(before, path) if before[other] != entry)
        await spool.write()
    finally:
        spool.close()
    laid = await edit_tree(git, tree, changes)
    return Overlay(laid, tuple(sorted(map(shown, replaced))))


def _checked(name: str) -> str:
    path = PurePosixPath(name)
    parts = path.parts
    if not parts or path.is_absolute() or ".." in parts or "\0" in name or any(map(is_git_name, parts)):
        raise InvalidInput(
            f"File {name!r} must have a relative path, inside the repository and outside .git."
        )
    return str(path)


def _in_the_way(tree: Mapping[str, TreeEntry], path: str) -> list[str]:
    """The paths that laying a file at `path` replaces: itself, a file as its parent, files below it."""
    above = [str(parent) for parent in PurePosixPath(path).parents]
    return [other for other in tree if other == path or other in above or other.startswith(path + "/")]
