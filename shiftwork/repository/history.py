"""Reading commits: those of the harness by their trailers, those of people by not being the harness's."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shiftwork.repository.git import Git
from shiftwork.repository.messages import FEATURE, PROJECT, SESSION, parse_trailers
from shiftwork.repository.objects import HARNESS_EMAIL, HARNESS_NAME
from shiftwork.repository.threads import in_thread
from shiftwork.text import one_line

_FIELDS = ("%H", "%P", "%an", "%cn", "%ce", "%ct", "%B")
_FORMAT = "--format=tformat:" + "%x00".join(_FIELDS)
_OURS = ("--fixed-strings", f"--committer={HARNESS_NAME} <{HARNESS_EMAIL}>")


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit.

    Attributes:
        commit: its id.
        parents: ids of its parents.
        author: name of its author.
        subject: first line of its message.
        at: date of its committer, in UTC.
        by_harness: whether the harness committed it.
        message: the whole message.
    """

    commit: str
    parents: tuple[str, ...]
    author: str
    subject: str
    at: datetime
    by_harness: bool
    message: str = field(repr=False)

    @property
    def trailers(self) -> dict[str, str]:
        """The harness's trailers; none on a commit of anybody else."""
        return parse_trailers(self.message) if self.by_harness else {}


@dataclass(frozen=True, slots=True)
class Landing:
    """A session's commit on main; `feature` is the feature's name, None for planning."""

    commit: str
    session: int
    feature: str | None
    at: datetime


async def read_log(git: Git, *arguments: str) -> list[Commit]:
    """The commits that `git log` selects, in its order."""
    out = await git.run("log", "-z", _FORMAT, "--no-show-signature", *arguments)
    return await in_thread(lambda: _commits(out))


def _commits(out: bytes) -> list[Commit]:
    fields = out.decode("utf-8", "replace").split("\0")[:-1]
    width = len(_FIELDS)
    return [_commit(fields[at : at + width]) for at in range(0, len(fields), width)]


def _commit(fields: Sequence[str]) -> Commit:
    oid, parents, author, name, email, seconds, message = fields
    return Commit(
        commit=oid,
        parents=tuple(parents.split()),
        author=one_line(author),
        subject=one_line(message.partition("\n")[0]),
        at=datetime.fromtimestamp(int(seconds), UTC),
        by_harness=(name, email) == (HARNESS_NAME, HARNESS_EMAIL),
        message=message,
    )


async def harness_commits(git: Git, span: str) -> list[Commit]:
    """The harness's commits in the first-parent history of a span such as `a..b`, newest first."""
    commits = await read_log(git, "--first-parent", *_OURS, span, "--")
    return [commit for commit in commits if commit.by_harness]


async def find_by_trailers(git: Git, span: str, trailers: dict[str, str]) -> Commit | None:
    """The harness's newest commit in the span that carries all of these trailers."""
    for commit in await harness_commits(git, span):
        if trailers.items() <= commit.trailers.items():
            return commit
    return None


async def landings(git: Git, span: str, project_id: str) -> list[Landing]:
    """The landings of a project in the first-parent history of a span, oldest first.

    Those of other projects come in by a repository that two projects share, and say nothing of this one's
    sessions, which have the same numbers, nor of its features, which may have the same names.
    """
    commits = await harness_commits(git, span)
    return await in_thread(lambda: _landings(reversed(commits), project_id))


def _landings(commits: Iterable[Commit], project_id: str) -> list[Landing]:
    found = []
    for commit in commits:
        trailers = commit.trailers
        number = trailers.get(SESSION, "")
        if number.isdecimal() and trailers.get(PROJECT) == project_id:
            found.append(Landing(commit.commit, int(number), trailers.get(FEATURE), commit.at))
    return found


async def people_commits(git: Git, span: str) -> list[Commit]:
    """The commits of a span that the harness did not make, newest first, on whatever branch they came in."""
    return [commit for commit in await read_log(git, span, "--") if not commit.by_harness]


async def on_first_parent(git: Git, commit: str, tip: str) -> bool:
    """Whether following first parents from the tip reaches the commit."""
    if commit == tip:
        return True
    chain = (await git.run("rev-list", "--first-parent", "--parents", f"{commit}..{tip}")).split(b"\n")[:-1]
    if not chain:
        return False
    last = os.fsdecode(chain[-1]).split()
    return len(last) > 1 and last[1] == commit
