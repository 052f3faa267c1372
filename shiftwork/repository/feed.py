"""Delivering main into a person's repository without ever losing anything of theirs.

A local one is fed by a fetch that runs inside it, because a push would run its hooks; then its branch is
moved forward where nobody works, or where the work tree is clean.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from shiftwork.repository.git import Git, people_environment
from shiftwork.repository.inspecting import people_git, uncommitted
from shiftwork.repository.lock import locked
from shiftwork.repository.objects import HARNESS_EMAIL, HARNESS_NAME
from shiftwork.repository.private import MAIN, PrivateRepository

DELIVERED = "refs/remotes/shiftwork/main"
LOCAL_TIMEOUT = 60.0
NETWORK_TIMEOUT = 300.0
UPLOAD_PACK = "git -c safe.directory='*' upload-pack"
"""Also serves the repository of another owner, which a plain `git upload-pack` refuses."""
# Ends up in the reflog of the person's branch.
_IDENTITY = {"GIT_COMMITTER_NAME": HARNESS_NAME, "GIT_COMMITTER_EMAIL": HARNESS_EMAIL}


@dataclass(frozen=True, slots=True)
class FeedResult:
    """What became of a delivery: a sentence for the person if something is left to do, and the branch."""

    warning: str | None
    branch_updated: bool


async def feed_remote(private: PrivateRepository, url: str, branch: str) -> FeedResult:
    """Push main to a branch of a remote repository, never by force."""
    git = Git(private.path, people_environment())
    target = f"refs/heads/{branch}"
    result = await git.call(
        "push", "--porcelain", "--no-verify", "--", url, f"{MAIN}:{target}", timeout=NETWORK_TIMEOUT
    )
    if result.status:
        return FeedResult(
            f"Branch {branch!r} of {url!r} was not updated: {result.last_line}", branch_updated=False
        )
    return FeedResult(
        None, branch_updated=any(line[:1] in {b" ", b"*"} for line in result.stdout.splitlines())
    )


async def feed_local(private: PrivateRepository, path: Path, branch: str) -> FeedResult:
    """Fetch main into a local repository and move its branch forward if that is safe."""
    # Two deliveries at once would only meet each other's locks.
    async with locked(private.path / "feed.flock") as held:
        return await _LocalFeed(private, people_git(path), path, branch, held).run()


@dataclass(frozen=True, slots=True)
class _LocalFeed:
    private: PrivateRepository
    git: Git
    path: Path
    branch: str
    held: int

    @property
    def ref(self) -> str:
        return f"refs/heads/{self.branch}"

    async def run(self) -> FeedResult:
        tip = await self.private.tip()
        refs = await self._refs()
        if refs.get(DELIVERED) != tip:
            await self._fetch()
        at = refs.get(self.ref)
        if at == tip:
            return FeedResult(None, branch_updated=False)
        if at is not None:
            ancestor = await self.git.call("merge-base", "--is-ancestor", at, tip)
            if ancestor.status == 1:
                return self._warning("has commits of its own; they will be brought into main first")
            if ancestor.status:
                raise self.git.failure("merge-base", ancestor)
        return await self._advance(at, tip)

    async def _refs(self) -> dict[str, str]:
        out = await self.git.run("for-each-ref", "--format=%(refname) %(objectname)", self.ref, DELIVERED)
        lines = (line.rsplit(" ", 1) for line in os.fsdecode(out).splitlines())
        return dict(lines)

    async def _fetch(self) -> None:
        await self.git.run(
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--no-prune",
            f"--upload-pack={UPLOAD_PACK}",
            "--",
            str(self.private.path),
            f"+{MAIN}:{DELIVERED}",
            env={"GIT_ALLOW_PROTOCOL": "file", **_IDENTITY},
            timeout=LOCAL_TIMEOUT,
            hold=(self.held,),
        )

    async def _advance(self, at: str | None, tip: str) -> FeedResult:
        places = await self._places()
        if len(places) > 1:
            return self._warning("is checked out in several work trees")
        if places:
            return await self._advance_checked_out(people_git(places[0]), at, tip)
        if at is None and await self._has_commits():
            return self._warning("does not exist any more; main is there as 'shiftwork/main'")
        if await self._in_progress():
            return self._warning("is being rebased or bisected")
        await self._update_ref(self.git, at, tip)
        return FeedResult(None, branch_updated=True)

    async def _places(self) -> list[Path]:
        """The work trees that have the branch checked out; git itself lists the main one first."""
        out = os.fsdecode(await self.git.run("worktree", "list", "--porcelain", "-z"))
        blocks = [block.split("\0") for block in out.split("\0\0") if block]
        return [
            Path(block[0].removeprefix("worktree "))
            for block in blocks
            if f"branch {self.ref}" in block and "bare" not in block
        ]

    async def _has_commits(self) -> bool:
        """Whether the repository has any branch; a bare one without is fed its first."""
        return bool(await self.git.run("for-each-ref", "--count=1", "refs/heads"))

    async def _in_progress(self) -> bool:
        common = await self.git.run("rev-parse", "--path-format=absolute", "--git-common-dir")
        root = Path(os.fsdecode(common.rstrip(b"\n")))
        names = ("rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START")
        files = [folder / name for folder in (root, *root.glob("worktrees/*")) for name in names]
        busy = [file.read_text("utf-8", "surrogateescape").strip() for file in files if file.is_file()]
        return self.ref in busy or self.branch in busy

    async def _advance_checked_out(self, git: Git, at: str | None, tip: str) -> FeedResult:
        changes = await uncommitted(git, untracked=False)
        if changes:
            if at is not None and await self._was_advanced(git, tip):
                await self._update_ref(git, at, tip)
                return FeedResult(None, branch_updated=True)
            return self._warning(
                f"is checked out with {len(changes)} uncommitted changes; commit or stash them, "
                "or run `git merge shiftwork/main`"
            )
        result = await git.call(
            "merge",
            "--ff-only",
            "--quiet",
            "--no-stat",
            "--no-autostash",
            "--no-verify-signatures",
            "--no-overwrite-ignore",
            tip,
            env=_IDENTITY,
            timeout=LOCAL_TIMEOUT,
            hold=(self.held,),
        )
        if result.status:
            return self._warning(
                f"could not be moved forward ({result.last_line}); run `git merge shiftwork/main`"
            )
        return FeedResult(None, branch_updated=True)

    async def _was_advanced(self, git: Git, tip: str) -> bool:
        """Whether a killed delivery had already brought index and files to the tip."""
        staged = await git.call("diff-index", "--cached", "--quiet", tip, "--")
        files = await git.call("diff-files", "--quiet")
        return staged.status == 0 and files.status == 0

    async def _update_ref(self, git: Git, at: str | None, tip: str) -> None:
        old = at or "0" * 40
        await git.run(
            "update-ref",
            "-m",
            "shiftwork: fast-forward",
            self.ref,
            tip,
            old,
            env=_IDENTITY,
            hold=(self.held,),
        )

    def _warning(self, what: str) -> FeedResult:
        return FeedResult(f"Branch {self.branch!r} of {str(self.path)!r} {what}.", branch_updated=False)
