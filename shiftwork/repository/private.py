"""The private bare repository of a project: the record of what was made, written by the harness alone."""

import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path

from shiftwork.errors import InvalidInput, RepositoryError
from shiftwork.repository import candidates, history, imports, merging, revert, snapshot
from shiftwork.repository.candidates import CANDIDATES, IsDead
from shiftwork.repository.git import EMPTY_TREE, NO_COMMIT, Git, check_git
from shiftwork.repository.guard import Guard
from shiftwork.repository.history import Commit, Landing
from shiftwork.repository.imports import ImportPlan
from shiftwork.repository.limits import SnapshotLimits
from shiftwork.repository.lock import locked, remove_stale_locks
from shiftwork.repository.merging import Overlay
from shiftwork.repository.messages import PROJECT, SESSION, LandingInfo, landing_message
from shiftwork.repository.names import shown
from shiftwork.repository.objects import FIXED_DATE, TreeEntry, commit_tree, list_tree, records
from shiftwork.repository.revert import Revert
from shiftwork.repository.snapshot import Snapshot
from shiftwork.repository.threads import in_thread
from shiftwork.repository.workspace import Workspace

MAIN = "refs/heads/main"
PEOPLE = "refs/shiftwork/people/"

_ROOT_MESSAGE = "Start\n"
_REF_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


class PrivateRepository:
    """One project's repository. Any of its methods may be repeated after any crash.

    Attributes:
        path: the bare repository's folder, open to its owner alone.
        git: git on it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.git = Git.private(path)

    async def create(self) -> None:
        """Make the repository, its main beginning with an empty commit; fine if it exists.

        Raises:
            RepositoryError: git is missing or too old, or the folder can't be made.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise RepositoryError(f"Folder {str(self.path)!r} can't be made: {error.strerror}.") from error
        async with self.lock() as held:
            if await self._resolve(MAIN) is not None:
                return
            await check_git()
            remove_stale_locks(self.path, MAIN)
            options = ("--bare", "--quiet", "--template=", "--initial-branch=main", "--object-format=sha1")
            await self.git.run("init", *options, hold=(held,))
            await self._move_main(NO_COMMIT, await self._root(), held)

    def lock(self) -> AbstractAsyncContextManager[int]:
        """Hold the lock around this repository's refs; see `locked`."""
        return locked(self.path / "shiftwork.flock")

    # Reading

    async def tip(self) -> str:
        """The commit that main is at."""
        return await self.resolve(MAIN)

    async def resolve(self, revision: str) -> str:
        """The full id of the commit that a revision names; raises `RepositoryError` if there is none."""
        found = await self._resolve(revision)
        if found is None:
            raise RepositoryError(f"There is no commit {revision!r} in {str(self.path)!r}.")
        return found

    async def tree_of(self, commit: str) -> str:
        """The id of a commit's tree."""
        return await self.git.text("rev-parse", "--verify", "--end-of-options", f"{commit}^{{tree}}")

    async def entries(self, treeish: str) -> dict[str, TreeEntry]:
        """Every file, symbolic link and gitlink of a tree or commit, by path."""
        return await list_tree(self.git, treeish)

    async def read_blob(self, oid: str) -> bytes:
        """The content of a blob."""
        return await self.git.run("cat-file", "blob", oid)

    async def diff(self, before: str, after: str, limit: int) -> str:
        """The patch between two trees or commits, at most `limit` bytes of it."""
        arguments = ("-r", "-p", "--no-ext-diff", "--no-textconv", "--no-color", "--find-renames")
        result = await self.git.call("diff-tree", *arguments, before, after, limit=limit)
        if result.status:
            raise self.git.failure("diff-tree", result)
        return result.stdout.decode("utf-8", "replace")

    async def changed_paths(self, before: str, after: str) -> tuple[str, ...]:
        """The paths that differ between two trees or commits, as text that can be stored."""
        options = ("-r", "-z", "--name-only", "--no-renames")
        with tempfile.TemporaryFile(dir=self.path) as stream:
            await self.git.run("diff-tree", *options, before, after, stdout=stream)
            return await in_thread(lambda: tuple(shown(os.fsdecode(path)) for path in records(stream)))

    async def log(self, limit: int) -> list[Commit]:
        """The last commits of main's first-parent history, newest first."""
        return await history.read_log(self.git, "--first-parent", f"--max-count={limit}", MAIN, "--")

    async def landings(self, project_id: str, since: str | None = None) -> list[Landing]:
        """The project's landings on main, oldest first; only those after the commit `since`, if given."""
        return await history.landings(self.git, MAIN if since is None else f"{since}..{MAIN}", project_id)

    async def people_commits(self, since: str, until: str) -> list[Commit]:
        """The commits that people made and that `until` has and `since` lacks, newest first."""
        return await history.people_commits(self.git, f"{since}..{until}")

    # Making commits

    async def snapshot(
        self,
        workspace: Workspace,
        base: str,
        ref: str,
        exclude: Iterable[str] = (),
        limits: SnapshotLimits | None = None,
        *,
        guard: Guard | None = None,
    ) -> Snapshot:
        """Store a workspace's files as a candidate commit on `base`.

        Args:
            workspace: the folder; no process may work in it any more.
            base: the commit it was prepared from.
            ref: names the candidate, which is then at `refs/shiftwork/candidates/<ref>`.
            exclude: paths that stay what they are in `base`: outputs of set-up commands.
            limits: what it may hold.
            guard: looks at what it adds, before any of that is stored.

        Raises:
            SnapshotRefused: it holds too much, or can't be read, or what the guard refuses; the paths are
                named.
        """
        name = self._candidate(ref)
        taken = await snapshot.take_snapshot(
            self.git, workspace, base, exclude, limits or SnapshotLimits(), guard=guard
        )
        async with self.lock() as held:
            remove_stale_locks(self.path, name)
            await self.git.run("update-ref", name, taken.commit, hold=(held,))
        return taken

    async def candidate(self, ref: str) -> str | None:
        """The candidate commit of this name; None if there is none."""
        return await self._resolve(self._candidate(ref))

    async def forget_candidates(self, is_dead: IsDead) -> int:
        """Remove the references of those candidates that nobody needs; how many.

        Args:
            is_dead: told a candidate's name and commit.
        """
        async with self.lock() as held:
            return await candidates.forget(self.git, is_dead, held)

    async def merge(self, ours: str, theirs: str) -> str:
        """The tree of two commits merged; raises `MergeConflict` with the paths."""
        return await merging.merge_trees(self.git, ours, theirs)

    async def overlay(self, tree: str, files: Mapping[str, str]) -> Overlay:
        """Lay files of the harness over a tree; raises `InvalidInput` for a path that leaves it."""
        return await merging.lay_over(self.git, tree, files)

    async def make_landing(self, tree: str, parent: str, info: LandingInfo) -> str:
        """The landing commit; the same arguments always give the same id."""
        return await commit_tree(self.git, tree, [parent], landing_message(info), info.at)

    # Moving main

    async def integrate(self, base: str, landing: str, project_id: str, session: int) -> str | None:
        """Move main from `base` to `landing`, once per session.

        Returns:
            The session's commit on main; None if main moved: verify on the new tip.
        """
        async with self.lock() as held:
            found = await self.landed(base, project_id, session)
            if found is None and await self._moved(base, landing, held):
                return landing
            return found

    async def landed(self, base: str, project_id: str, session: int) -> str | None:
        """The session's commit on main since `base`, if it has landed."""
        trailers = {PROJECT: project_id, SESSION: str(session)}
        found = await history.find_by_trailers(self.git, f"{base}..{MAIN}", trailers)
        return None if found is None else found.commit

    async def swap(self, base: str, new: str) -> bool:
        """Move main from `base` to `new`; False if main is at neither."""
        async with self.lock() as held:
            return await self._moved(base, new, held)

    async def adopt(self, commit: str) -> bool:
        """Let main begin with a person's commit; False if main has work of its own that lacks it."""
        async with self.lock() as held:
            if await self._moved(await self._root(), commit, held):
                return True
            return await imports.contains(self.git, await self.tip(), commit)

    async def contains(self, commit: str) -> bool:
        """Whether main has this commit in its history."""
        return await imports.contains(self.git, await self.tip(), commit)

    async def subject(self, commit: str) -> str:
        """The first line of a commit's message."""
        return await self.git.text("log", "-1", "--format=%s", "--no-show-signature", commit, "--")

    async def import_base(self, people_tip: str) -> ImportPlan | None:
        """How to take people's commits into main; None if main has them. Raises `MergeConflict`."""
        return await imports.plan_import(self.git, await self.tip(), people_tip)

    async def revert(self, target: str, operation: str, at: datetime, *, consent: bool) -> Revert:
        """Give main the tree that it had at `target`, by a commit on top; once per operation.

        Raises:
            PeopleCommitsAtRisk: it would undo commits of people, and `consent` is not given.
            RepositoryError: main's first-parent history does not hold the target.
        """
        target = await self.resolve(target)
        async with self.lock() as held:
            main = await self.tip()
            done = await revert.existing_revert(self.git, target, main, operation)
            if done is not None:
                return done
            made = await revert.make_revert(self.git, target, main, operation, at, consent=consent)
            await self._move_main(main, made.commit, held)
            return made

    async def record_people(self, branch: str, commit: str) -> None:
        """Remember where people's branch is, so that its commits are kept."""
        async with self.lock() as held:
            name = PEOPLE + branch
            remove_stale_locks(self.path, name)
            await self.git.run("update-ref", name, commit, hold=(held,))

    async def has_commit(self, commit: str) -> bool:
        """Whether the repository holds this commit."""
        return await self._resolve(commit) is not None

    async def _resolve(self, revision: str) -> str | None:
        result = await self.git.call(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
        )
        return result.stdout.decode().strip() if result.status == 0 else None

    async def _root(self) -> str:
        await self.git.run("mktree", input=b"")
        return await commit_tree(self.git, EMPTY_TREE, [], _ROOT_MESSAGE, FIXED_DATE)

    async def _moved(self, base: str, new: str, held: int) -> bool:
        tip = await self.tip()
        if tip == new:
            return True
        if tip != base:
            return False
        await self._move_main(base, new, held)
        return True

    async def _move_main(self, base: str, new: str, held: int) -> None:
        remove_stale_locks(self.path, MAIN)
        await self.git.run("update-ref", MAIN, new, base, hold=(held,))

    def _candidate(self, ref: str) -> str:
        if not _REF_NAME.fullmatch(ref) or ".." in ref or ref.endswith((".", ".lock")):
            raise InvalidInput(
                f"{ref!r} can't name a candidate; use letters, digits, dots, dashes, underscores."
            )
        return CANDIDATES + ref
