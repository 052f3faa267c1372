"""Candidates that nobody needs any more."""

from collections.abc import Callable

from shiftwork.repository.git import Git
from shiftwork.repository.lock import remove_stale_locks

CANDIDATES = "refs/shiftwork/candidates/"

IsDead = Callable[[str, str], bool]
"""Whether a candidate of this name, at this commit, is needed by nobody."""


async def forget(git: Git, is_dead: IsDead, held: int) -> int:
    """Remove the references of dead candidates; how many. The caller holds the lock around references.

    Their objects stay until somebody has git collect what nothing refers to.
    """
    listed = await git.text("for-each-ref", "--format=%(refname) %(objectname)", CANDIDATES)
    found = dict(line.split(" ", 1) for line in listed.splitlines())
    dead = {name: commit for name, commit in found.items() if is_dead(name.removeprefix(CANDIDATES), commit)}
    if dead:
        remove_stale_locks(git.where, *dead)
        told = "".join(f"delete {name} {commit}\n" for name, commit in dead.items())
        await git.run("update-ref", "--stdin", input=told.encode(), hold=(held,))
    return len(dead)
