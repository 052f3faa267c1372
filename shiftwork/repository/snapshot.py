"""Turning a workspace into a candidate commit."""

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shiftwork.repository import ignore, statcache
from shiftwork.repository.git import Git
from shiftwork.repository.guard import Guard, refuse_added
from shiftwork.repository.modules import refuse_dangerous_modules
from shiftwork.repository.names import shown
from shiftwork.repository.objects import (
    FIXED_DATE,
    BlobSpool,
    TreeEntry,
    commit_tree,
    edit_tree,
    fetch_blobs,
    list_tree,
)
from shiftwork.repository.statcache import StatCache
from shiftwork.repository.threads import in_thread
from shiftwork.repository.walk import SnapshotLimits, Walk
from shiftwork.repository.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What an attempt left.

    Attributes:
        commit: a commit with the base as its parent, made of tree and base alone.
        tree: its tree.
        changed: paths added, changed or removed since the base, sorted, as text that can be stored.
        notes: sentences on what was left out of it, and on names that will make trouble.
    """

    commit: str
    tree: str
    changed: tuple[str, ...]
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
    before = await list_tree(git, base)
    ignores = await _ignore_files(git, before)
    spool = BlobSpool(git)
    try:
        cache = StatCache.load(workspace.stat_cache)
        walk = Walk(
            before,
            base_ignores=ignores,
            exclude=exclude,
            cache=cache,
            spool=spool,
            limits=limits,
            look=None if guard is None else guard.look,
        )
        await in_thread(lambda: walk.run(workspace.path))
        if guard is not None:
            await refuse_added(git, before, guard)
        await spool.write()
    finally:
        spool.close()
    statcache.save(workspace.stat_cache, walk.known)
    changes = _changes(before, walk.found)
    await refuse_dangerous_modules(git, changes)
    tree = await edit_tree(git, base, changes)
    commit = await commit_tree(git, tree, [base], "Candidate\n", FIXED_DATE)
    return Snapshot(commit, tree, tuple(sorted(shown(path) for path in changes)), tuple(walk.notes))


def _changes(before: Mapping[str, TreeEntry], after: Mapping[str, TreeEntry]) -> dict[str, TreeEntry | None]:
    removed: dict[str, TreeEntry | None] = {path: None for path in before if path not in after}
    return removed | {path: entry for path, entry in after.items() if before.get(path) != entry}


async def _ignore_files(git: Git, tree: Mapping[str, TreeEntry]) -> dict[str, bytes]:
    """The content of the tree's `.gitignore` files, those of an unusual size left out."""
    wanted = {
        path: entry.oid
        for path, entry in tree.items()
        if path.rpartition("/")[2] == ".gitignore" and entry.mode in {"100644", "100755"}
    }
    if not wanted:
        return {}
    blobs: dict[str, bytes] = {}
    room = ignore.MAX_TOTAL
    with tempfile.TemporaryFile(dir=git.where) as stream:
        # Their number and size is up to agents: those of the outermost folders count first.
        by_depth = dict.fromkeys(wanted[path] for path in sorted(wanted, key=lambda path: path.count("/")))
        for oid, data in await fetch_blobs(git, list(by_depth), stream):
            if len(data) <= min(ignore.MAX_BYTES, room):
                blobs[oid] = data
                room -= len(data)
    return {path: blobs[oid] for path, oid in wanted.items() if oid in blobs}
