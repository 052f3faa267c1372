"""The one lock around the refs of a repository, and what a killed git leaves behind."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from shiftwork.errors import RepositoryError

PATIENCE = 120.0
"""Seconds to wait for the lock; its holders run a few short git commands."""


@asynccontextmanager
async def locked(path: Path, patience: float = PATIENCE) -> AsyncIterator[int]:
    """Hold the flock on `path`; yields its descriptor.

    A git command that changes refs inherits the descriptor (`hold=`), so that the lock stays held until that
    command has ended, even when this process is killed. It is therefore given up by closing, never by
    unlocking.

    Raises:
        RepositoryError: another process held it for longer than `patience` seconds.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        await _acquire(descriptor, path, patience)
        yield descriptor
    finally:
        os.close(descriptor)


async def _acquire(descriptor: int, path: Path, patience: float) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    pause = 0.001
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if loop.time() > deadline:
                raise RepositoryError(
                    f"The lock {str(path)!r} was held for more than {patience:g} seconds by another process; "
                    "end that process and try again."
                ) from None
            await asyncio.sleep(pause)
            pause = min(0.05, pause * 2)
        else:
            return


def remove_stale_locks(git_dir: Path, *refs: str) -> None:
    """Remove the lock files that a killed git left on these refs; only the flock's holder may call this.

    Whoever holds the flock knows that no git of ours runs: each inherits the flock until it ends.
    """
    for name in ("HEAD", "config", "packed-refs", *refs):
        (git_dir / f"{name}.lock").unlink(missing_ok=True)
