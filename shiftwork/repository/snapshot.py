"""Turning a workspace into a candidate commit."""

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shiftwork.repository import ignore
from shiftwork.repository.deadline import Deadline, Tick
from shiftwork.repository.editing import edit_tree
from shiftwork.repository.git import Git
from shiftwork.repository.guard import Guard, refuse_added
from shiftwork.repository.limits import SnapshotLimits
from shiftwork.repository.modules import refuse_dangerous_modules
from shiftwork.repository.objects import (
    FIXED_DATE,
    BlobReader,
    BlobSpool,
    TreeEntry,
    blob_sizes,
    commit_tree,
    fetch_blobs,
    list_tree,
)
from shiftwork.repository.threads import forget, in_thread
from shiftwork.repository.walk import Walk
from shiftwork.repository.workspace import Workspace

_Changes = dict[str, TreeEntry | None]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What an attempt left.

    Attributes:
        commit: a commit with the base as its parent, made of tree and base alone.
        tree: its tree.
        changed: how many paths were added, changed or removed since the base.
        notes: sentences on what was left out of it, and on names that will make trouble.
    """

    commit: str
    tree: str
    changed: int
    notes: tuple[str, ...]


async def take_snapshot(
    git: Git,
    workspace: Workspace,
    base: str,
    exclude: Iterable[str],
    limits: SnapshotLimits,
    *,
    guard: Guard | None = None,
) -> Snapshot:
    """Store the workspace's files as a commit on `base`, if the guard agrees; no ref is changed."""
    deadline = Deadline.after(limits.seconds)
    before = await list_tree(git, base)
    ignores = await _ignore_files(git, before)
    spool = BlobSpool(git)

    def walked() -> Walk:
        walk = Walk(
            before,
            base_ignores=ignores,
            exclude=exclude,
            cache=workspace.known_files(),
            spool=spool,
            limits=limits,
            deadline=deadline,
            look=None if guard is None else guard.look,
        )
        walk.run(workspace.path)
        return walk

    try:
        walk = await in_thread(walked)
        if guard is not None:
            await refuse_added(git, before, guard, deadline.tick)
        await spool.write()
    finally:
        spool.close()

    def compared() -> _Changes:
        workspace.remember_files(walk.known)
        changes = _changes(before, walk.found, deadline.tick)
        forget(walk.known, walk.found, before)
        return changes

    changes = await in_thread(compared)
    await refuse_dangerous_modules(git, changes, deadline.tick)
    tree = await edit_tree(git, base, changes, deadline.tick)
    commit = await commit_tree(git, tree, [base], "Candidate\n", FIXED_DATE)
    return Snapshot(commit, tree, len(changes), tuple(walk.notes))


def _changes(before: Mapping[str, TreeEntry], after: Mapping[str, TreeEntry], tick: Tick) -> _Changes:
    changes: _Changes = {}
    for path in before:
        tick()
        if path not in after:
            changes[path] = None
    for path, entry in after.items():
        tick()
        if before.get(path) != entry:
            changes[path] = entry
    return changes


async def _ignore_files(git: Git, tree: Mapping[str, TreeEntry]) -> dict[str, bytes]:
    """The content of the tree's `.gitignore` files, those of an unusual size left out."""
    wanted = await in_thread(lambda: _ignore_ids(tree))
    if not wanted:
        return {}
    sizes = await blob_sizes(git, dict.fromkeys(wanted.values()))
    some = await in_thread(lambda: _within_room(sizes))
    with tempfile.TemporaryFile(dir=git.where) as stream:
        reader = await fetch_blobs(git, some, stream)
        return await in_thread(lambda: _by_path(wanted, reader))


def _ignore_ids(tree: Mapping[str, TreeEntry]) -> dict[str, str]:
    """The ids of these files by path; their number is up to agents: the outermost folders come first."""
    wanted = {
        path: entry.oid
        for path, entry in tree.items()
        if path.endswith(".gitignore")
        and path.rpartition("/")[2] == ".gitignore"
        and entry.mode in {"100644", "100755"}
    }
    return {path: wanted[path] for path in sorted(wanted, key=lambda path: path.count("/"))}


def _within_room(sizes: Mapping[str, int]) -> list[str]:
    room = ignore.MAX_TOTAL
    some = []
    for oid, size in sizes.items():
        if size <= min(ignore.MAX_BYTES, room):
            some.append(oid)
            room -= size
    return some


def _by_path(wanted: Mapping[str, str], reader: BlobReader) -> dict[str, bytes]:
    blobs = dict(reader)
    return {path: blobs[oid] for path, oid in wanted.items() if oid in blobs}
