"""Which activities this worker process runs, on disk, so that the next one on this host need not wait.

After a worker was killed, the server only notices when heartbeats stay away. A worker that starts on the same
host knows better: it finds the record of the dead one and gives its tasks back at once.
"""

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from activities.error_types import WORKER_LOST
from shiftwork.stack.private import private_folder, state_folder

_LOCK = "lock"


class WorkerRecord:
    """A folder with one file per running activity, under a lock that ends with this process."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._workers = state / "workers"
        self._own = self._workers / uuid.uuid4().hex
        self._lock: int | None = None

    def __enter__(self) -> Self:
        # Made under another name: a folder that is seen is a folder that is locked.
        fresh = self._own.with_suffix(".new")
        state_folder(self._state)
        private_folder(self._workers)
        fresh.mkdir(mode=0o700)
        self._lock = os.open(fresh / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        fresh.rename(self._own)
        return self

    def __exit__(self, *exc_info: object) -> None:
        shutil.rmtree(self._own, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def holds(self, level: str) -> None:
        """Note the sandbox that this worker confines programs by."""
        assert self._lock is not None
        os.pwrite(self._lock, level.encode(), 0)

    @contextmanager
    def running(self, task_token: bytes) -> Iterator[None]:
        """Note that this activity runs, for as long as the block does."""
        path = self._own / uuid.uuid4().hex
        path.write_bytes(task_token)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)

    async def give_back(self, client: Client) -> int:
        """Fail what dead workers of this host ran, so that it is tried again at once; how many tasks."""
        count = 0
        for folder in self._workers.iterdir():
            if folder == self._own or folder.suffix == ".new" or not _dead(folder):
                continue
            for path in folder.iterdir():
                if path.name != _LOCK:
                    count += await _fail(client, path.read_bytes())
            shutil.rmtree(folder, ignore_errors=True)
        return count


def working_levels(state: Path) -> list[str]:
    """The sandboxes of this state folder's workers on this host; '' for one that is starting."""
    workers = state / "workers"
    folders = sorted(workers.iterdir()) if workers.is_dir() else []
    living = [folder for folder in folders if folder.suffix != ".new" and not _dead(folder)]
    found = []
    for folder in living:
        with suppress(OSError):  # it ended meanwhile
            found.append((folder / _LOCK).read_text())
    return found


def _dead(folder: Path) -> bool:
    try:
        fd = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


async def _fail(client: Client, task_token: bytes) -> bool:
    error = ApplicationError("the worker that ran this was lost", type=WORKER_LOST)
    with suppress(RPCError):  # the server gave it to somebody already, or its workflow is gone
        await client.get_async_activity_handle(task_token=task_token).fail(error)
        return True
    return False
