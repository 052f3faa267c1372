"""Bringing people's commits into main."""

from dataclasses import dataclass

from shiftwork.repository.git import Git
from shiftwork.repository.history import on_first_parent, read_log
from shiftwork.repository.merging import merge_trees, parents_and_tree
from shiftwork.repository.messages import compose
from shiftwork.repository.objects import commit_tree


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What main becomes when people's commits are taken in: verify `tree`, then `swap(base, commit)`.

    Attributes:
        base: the tip of main that it is made for.
        commit: the next tip: the people's own commit, or a merge with main as its first parent.
        tree: the commit's tree.
        parents: the commit's parents.
        fast_forward: whether `commit` is the people's own.
    """

    base: str
    commit: str
    tree: str
    parents: tuple[str, ...]
    fast_forward: bool


async def plan_import(git: Git, main: str, people: str) -> ImportPlan | None:
    """How to take people's tip into main; None if main has it. Raises `MergeConflict`."""
    if await contains(git, main, people):
        return None
    if await on_first_parent(git, main, people):
        parents, tree = await parents_and_tree(git, people)
        return ImportPlan(main, people, tree, parents, fast_forward=True)
    # Main stays the first parent, even if people merged it into theirs: landings are found on that line.
    tree = await merge_trees(git, main, people, unrelated=True)
    newest = max(commit.at for commit in await read_log(git, "--no-walk", main, people, "--"))
    message = compose("Merge people's commits", f"Up to {people}.", {})
    commit = await commit_tree(git, tree, [main, people], message, newest)
    return ImportPlan(main, commit, tree, (main, people), fast_forward=False)


async def contains(git: Git, tip: str, commit: str) -> bool:
    """Whether the history of the tip has the commit."""
    result = await git.call("merge-base", "--is-ancestor", commit, tip)
    if result.status not in {0, 1}:
        raise git.failure("merge-base", result)
    return result.status == 0
