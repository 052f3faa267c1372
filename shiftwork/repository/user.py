"""The repository that a person named: where main is delivered, and where people's commits come from."""

import os
from dataclasses import dataclass
from pathlib import Path

from shiftwork.errors import InvalidInput, RepositoryError
from shiftwork.repository.feed import NETWORK_TIMEOUT, UPLOAD_PACK, FeedResult, feed_local, feed_remote
from shiftwork.repository.git import Git, check_git, people_environment
from shiftwork.repository.inspecting import (
    Description,
    RepositoryKind,
    inspect,
    local_path,
    people_git,
)
from shiftwork.repository.names import shown
from shiftwork.repository.private import PrivateRepository


@dataclass(frozen=True, slots=True)
class UserRepository:
    """A repository of a person, and the branch of it that the project works on.

    Attributes:
        where: an absolute path, or an address.
        branch: the branch named at start.
    """

    where: str
    branch: str

    async def fetch_into(self, private: PrivateRepository) -> str | None:
        """Bring the branch's commits into the private repository.

        Returns:
            The branch's tip; None if it has no commit.

        Raises:
            RepositoryError: the repository can't be read or reached.
        """
        for _ in range(3):
            tip = await self._tip(private)
            if tip is None:
                return None
            if not await private.has_commit(tip):
                await self._fetch(private)
            # A branch that was rewritten between the two steps is looked up again.
            if await private.has_commit(tip):
                await private.record_people(self.branch, tip)
                return tip
        raise RepositoryError(f"Branch {self.branch!r} of {self.where!r} changes too quickly to be fetched.")

    async def feed(self, private: PrivateRepository) -> FeedResult:
        """Deliver main: as `shiftwork/main`, and as the branch where that loses nothing. Never raises.

        A failure is a warning: the landing stays safe in the private repository.
        """
        try:
            path = local_path(self.where)
            if path is None:
                return await feed_remote(private, self.where, self.branch)
            return await feed_local(private, path, self.branch)
        except (RepositoryError, OSError) as error:
            return FeedResult(f"{self.where!r} was not updated: {error}", branch_updated=False)

    async def _tip(self, private: PrivateRepository) -> str | None:
        path = local_path(self.where)
        ref = f"refs/heads/{self.branch}"
        if path is not None:
            if not path.is_dir():
                raise RepositoryError(f"Repository {self.where!r} is gone; put it back and try again.")
            git = people_git(path)
            result = await git.call("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
            if result.status not in {0, 1}:
                raise git.failure("rev-parse", result)
            return result.stdout.decode().strip() or None
        git = Git(private.path, people_environment())
        out = await git.run("ls-remote", "--", self.where, ref, timeout=NETWORK_TIMEOUT)
        return os.fsdecode(out).partition("\t")[0] or None

    async def _fetch(self, private: PrivateRepository) -> None:
        path = local_path(self.where)
        git = private.git if path is not None else Git(private.path, people_environment())
        served = (f"--upload-pack={UPLOAD_PACK}",) if path is not None else ()
        await git.run(
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            *served,
            "--",
            self.where if path is None else str(path),
            f"refs/heads/{self.branch}",
            timeout=NETWORK_TIMEOUT,
        )


async def open_user_repository(
    where: str | Path, *, branch: str | None = None, allow_dirty: bool = False
) -> UserRepository:
    """Check that a path or an address can be worked with; a missing or empty folder becomes a repository.

    Args:
        where: a path or an address.
        branch: the branch to work on; None means the one that is checked out.
        allow_dirty: start from the last commit although there are uncommitted changes, which stay untouched.

    Raises:
        InvalidInput: it can't be used as it is; the sentence says what to do.
        RepositoryError: git is missing, or can't read what is there.
    """
    await check_git()
    found = await inspect(where)
    if found.kind is RepositoryKind.REMOTE:
        return UserRepository(found.where, branch or await _remote_branch(found.where))
    if found.kind in {RepositoryKind.MISSING, RepositoryKind.EMPTY}:
        return await _initialise(Path(found.where), branch or "main")
    _refuse_unusable(found, allow_dirty=allow_dirty)
    await _refuse_other_objects(found.where)
    chosen = branch or found.branch
    if chosen is None:
        raise InvalidInput(
            f"Repository {found.where!r} has no branch checked out (detached HEAD); "
            "check out the branch to work on, or name it."
        )
    if not found.unborn and not await _has_branch(Path(found.where), chosen):
        raise InvalidInput(
            f"Repository {found.where!r} has no branch {chosen!r}; make it there, or name another."
        )
    return UserRepository(found.where, chosen)


async def _refuse_other_objects(where: str) -> None:
    """Objects under other names can't be fetched into the private repository, which uses SHA-1."""
    git = Git(Path(where), people_environment(), work_tree=True)
    objects = await git.text("rev-parse", "--show-object-format")
    if objects != "sha1":
        raise InvalidInput(f"{where!r} uses {objects} object names; only SHA-1 repositories can be used.")


def _refuse_unusable(found: Description, *, allow_dirty: bool) -> None:
    reasons = {
        RepositoryKind.NOT_A_FOLDER: "is not a folder; name a folder or a repository's address",
        RepositoryKind.NO_PERMISSION: "can't be read and written by this user; change its permissions",
        RepositoryKind.NESTED: f"lies inside repository {found.outer!r}; name that one, or another folder",
        RepositoryKind.FILES: "holds files but is no git repository; run `git init` there and commit them",
    }
    if found.kind in reasons:
        raise InvalidInput(f"{found.where!r} {reasons[found.kind]}.")
    if found.shallow:
        raise InvalidInput(f"{found.where!r} is a shallow clone; run `git fetch --unshallow` there first.")
    if found.changes and not allow_dirty:
        number = len(found.changes)
        some = ", ".join(shown(path) for path in found.changes[:3]) + (" …" if number > 3 else "")
        raise InvalidInput(
            f"{found.where!r} has {number} uncommitted {'change' if number == 1 else 'changes'} ({some}); "
            "commit or stash first, or start from its last commit with --allow-dirty."
        )


async def _has_branch(path: Path, branch: str) -> bool:
    ref = f"refs/heads/{branch}^{{commit}}"
    result = await people_git(path).call("rev-parse", "--verify", "--quiet", "--end-of-options", ref)
    return result.status == 0


async def _initialise(path: Path, branch: str) -> UserRepository:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"Folder {str(path)!r} can't be made: {error.strerror}.") from error
    git = people_git(path)
    await git.run("init", "--quiet", f"--initial-branch={branch}", "--object-format=sha1")
    return UserRepository(str(path), branch)


async def _remote_branch(url: str) -> str:
    git = Git(Path("/"), people_environment(), work_tree=True)
    out = await git.run("ls-remote", "--symref", "--", url, "HEAD", timeout=NETWORK_TIMEOUT)
    for line in os.fsdecode(out).splitlines():
        if line.startswith("ref: refs/heads/"):
            return line.removeprefix("ref: refs/heads/").partition("\t")[0]
    return "main"
