"""Going back by going on: a commit with an older tree on top of main."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shiftwork.errors import PeopleCommitsAtRisk, RepositoryError
from shiftwork.repository.git import Git
from shiftwork.repository.history import Commit, find_by_trailers, on_first_parent, people_commits, read_log
from shiftwork.repository.messages import OPERATION, compose
from shiftwork.repository.objects import commit_tree

_BACK_TO = "Back to the state of {}."
_WENT_BACK = re.compile(
    rf"^{re.escape(_BACK_TO).replace(re.escape('{}'), '([0-9a-f]{40,64})')}$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Revert:
    """A revert on main.

    Attributes:
        commit: the commit that has the target's tree.
        target: the commit gone back to.
        undone: the commits on main between the two, newest first.
        gone: all of main's commits whose work is in the target's state no more, those that earlier reverts
            undid among them; what an undone revert undid stands again.
        people: those among everything undone that people made, newest first.
    """

    commit: str
    target: str
    undone: tuple[str, ...]
    gone: tuple[str, ...]
    people: tuple[Commit, ...]


async def existing_revert(git: Git, target: str, main: str, operation: str) -> Revert | None:
    """The revert that this operation made before, if it did."""
    found = await find_by_trailers(git, f"{target}..{main}", {OPERATION: operation})
    return None if found is None else await _describe(git, found.commit, target, found.parents[0])


async def make_revert(
    git: Git, target: str, main: str, operation: str, at: datetime, *, consent: bool
) -> Revert:
    """The commit that reverts main to the target; no ref is changed."""
    if not await on_first_parent(git, target, main):
        raise RepositoryError(f"Commit {target} is not a state that main has been in; choose a checkpoint.")
    people = await people_commits(git, f"{await _last_there(git, target, main)}..{main}")
    if people and not consent:
        shown = ", ".join(f"{commit.commit[:10]} ({commit.subject})" for commit in people[:3])
        raise PeopleCommitsAtRisk(
            f"Going back to {target[:10]} would undo {len(people)} commits of people: {shown}; "
            "give consent to undo them too.",
            [commit.commit for commit in people],
        )
    body = _BACK_TO.format(target)
    message = compose(f"Revert to {target[:10]}", body, {OPERATION: operation})
    tree = await git.text("rev-parse", "--verify", f"{target}^{{tree}}")
    commit = await commit_tree(git, tree, [main], message, at)
    return await _describe(git, commit, target, main)


async def _last_there(git: Git, target: str, main: str) -> str:
    """The newest revert to the target's very state, or the target: what came before it is undone already."""
    tree = await git.text("rev-parse", "--verify", f"{target}^{{tree}}")
    for entry in await read_log(git, "--first-parent", f"{target}..{main}", "--"):
        reverted = entry.by_harness and OPERATION in entry.trailers
        if reverted and await git.text("rev-parse", "--verify", f"{entry.commit}^{{tree}}") == tree:
            return entry.commit
    return target


async def _describe(git: Git, commit: str, target: str, before: str) -> Revert:
    span = f"{target}..{before}"
    undone = await read_log(git, "--first-parent", span, "--")
    people = await people_commits(git, span)
    history = await read_log(git, "--first-parent", before, "--")
    return Revert(
        commit=commit,
        target=target,
        undone=tuple(entry.commit for entry in undone),
        gone=_gone(history, target),
        people=tuple(people),
    )


def _gone(history: Sequence[Commit], target: str) -> tuple[str, ...]:
    """The commits of a first-parent history, newest first, whose work is not in the state of the target."""
    back_to: str | None = target
    standing = set()
    for entry in history:
        if back_to is not None and entry.commit != back_to:
            continue
        standing.add(entry.commit)
        back_to = _went_back_to(entry)
    return tuple(entry.commit for entry in history if entry.commit not in standing)


def _went_back_to(entry: Commit) -> str | None:
    """Which commit's state a revert made main's own again; None of any other commit."""
    found = _WENT_BACK.search(entry.message) if OPERATION in entry.trailers else None
    return found[1] if found else None
