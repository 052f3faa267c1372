"""Locks that say whether a process still lives, and the end of what a dead worker left."""

import asyncio
import errno
import fcntl
import json
import logging
import os
import re
import stat
import time
from pathlib import Path
from typing import Any

import psutil

from shiftwork.errors import Conflict
from shiftwork.sandbox.sweep import kill_all

_LOG = logging.getLogger("shiftwork.runner")
_LOCKS = ("agent.lock", "steps.lock")
_MARKER = re.compile("[0-9a-f]{32}")
_MOST_PIDS = 1 << 31

_POLL = 0.02
"""Seconds between two tries to get a lock."""


class RunLock:
    """A file that is locked while any process of one run lives, and names the run's marker until a clean end.

    Raises:
        Conflict: another run still holds it.
    """

    def __init__(self, path: Path, marker: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.fd = _open(path, os.O_CREAT)
        if not _try_lock(self.fd):
            os.close(self.fd)
            raise Conflict(f"Another run still holds {str(path)!r}; wait for its end or end it first.")
        # Written before anything is started, so that there is no moment in which a process is not on record.
        os.ftruncate(self.fd, 0)
        os.pwrite(
            self.fd,
            json.dumps({"marker": marker, "worker": os.getpid(), "born": _born(os.getpid())}).encode(),
            0,
        )

    def clear(self) -> None:
        """Record that nothing of the run is left."""
        os.ftruncate(self.fd, 0)

    def close(self) -> None:
        """Give up this process's share; the sandbox's own lasts as long as the sandbox."""
        os.close(self.fd)


async def wait_until_gone(lock_file: Path, timeout: float) -> bool:
    """Wait until no process of the run that locked this file lives; false after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    try:
        fd = _open(lock_file)
    except FileNotFoundError:
        return True
    try:
        while not _try_lock(fd):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_POLL)
        # The kernel frees the lock a moment before the last process of a namespace is gone.
        return await _finish(fd, max(1.0, deadline - time.monotonic()))
    finally:
        os.close(fd)


async def end_leftovers(run_folder: Path, timeout: float = 10.0) -> int:
    """Kill every process of the runs whose lock files (`*.lock`) lie in this folder, whoever started it.

    Returns:
        How many processes were killed.

    Raises:
        TimeoutError: some can't be killed.
    """
    killed = 0
    for lock_file in sorted(run_folder.glob("*.lock")):
        try:
            fd = _open(lock_file)
        except FileNotFoundError:  # its run cleared up meanwhile
            continue
        try:
            if marker := _marker_in(_record(fd)):
                killed += await asyncio.to_thread(kill_all, marker, timeout=timeout)
        finally:
            os.close(fd)
        if not await wait_until_gone(lock_file, timeout):
            raise TimeoutError(f"{str(lock_file)!r} is still held by a process that can't be found")
    return killed


async def sweep_orphans(
    projects_folder: Path, timeout: float = 10.0, *, tasks_folder: Path | None = None
) -> int:
    """End the runs of all projects and tasks whose worker is dead; those of living workers are left alone.

    Call it when a worker starts. Looks only where runs have their locks, in `PROJECT/runs/RUN` and in `TASK`:
    anything else below may be an agent's own. What can't be ended is left, and logged: no file must keep a
    worker from its work.

    Returns:
        How many processes were killed.
    """
    killed = 0
    runs = [run for project in folders_in(projects_folder) for run in folders_in(project / "runs")]
    if tasks_folder is not None:
        runs += folders_in(tasks_folder)
    for lock_file in _lock_files(runs):
        try:
            killed += await _end_orphan(lock_file, timeout)
        except (OSError, RecursionError) as error:
            _LOG.warning("what a lost worker left may still run; %s: %s", lock_file, error)
    return killed


async def end_orphan(run_folder: Path, timeout: float = 5.0) -> bool:
    """End the runs whose locks lie in this folder, unless a worker that lives started one.

    Returns:
        Whether nothing runs there any more; False: its worker lives, or what it left can't be
        ended from here.
    """
    for lock_file in sorted(run_folder.glob("*.lock")):
        try:
            fd = _open(lock_file)
        except FileNotFoundError:  # its run cleared up meanwhile
            continue
        try:
            record = _record(fd)
        finally:
            os.close(fd)
        if _marker_in(record) is not None and _worker_lives(record):
            return False
    try:
        await end_leftovers(run_folder, timeout)
    except TimeoutError:
        return False
    return True


async def _end_orphan(lock_file: Path, timeout: float) -> int:
    fd = _open(lock_file)
    try:
        record = _record(fd)
        marker = _marker_in(record)
        if marker is None or _worker_lives(record):
            return 0
        killed = await asyncio.to_thread(kill_all, marker, timeout=timeout)
    finally:
        os.close(fd)
    if not await wait_until_gone(lock_file, timeout):
        raise TimeoutError("it is still held by a process that can't be found")
    return killed


def _lock_files(runs: list[Path]) -> list[Path]:
    return [run / name for run in runs for name in _LOCKS if (run / name).exists()]


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, links aside; none if it is a link itself."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(Path(entry) for entry in entries if entry.is_dir(follow_symlinks=False))


def _worker_lives(record: dict[str, Any]) -> bool:
    """Whether the process that wrote it still runs; another that got its pid was born at another time."""
    born = _born(record.get("worker"))
    return born is not None and born == record.get("born", born)


def _born(pid: object) -> float | None:
    if not isinstance(pid, int) or not 0 < pid < _MOST_PIDS:
        return None
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


async def _finish(fd: int, timeout: float) -> bool:
    if marker := _marker_in(_record(fd)):
        try:
            await asyncio.to_thread(kill_all, marker, timeout=timeout)
        except TimeoutError:
            return False
        os.ftruncate(fd, 0)
    return True


def _open(path: Path, flags: int = 0) -> int:
    """Of a regular file, never over a link; raises `OSError`."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | flags, 0o600)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is no file", str(path))
    return fd


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _marker_in(record: dict[str, Any]) -> str | None:
    """The marker of a run, if it is one; anything else could be that of somebody else's processes."""
    marker = record.get("marker")
    return marker if isinstance(marker, str) and _MARKER.fullmatch(marker) else None


def _record(fd: int) -> dict[str, Any]:
    """What a run wrote; nothing if its worker died while it wrote, before it started anything."""
    try:
        record = json.loads(os.pread(fd, 4096, 0))
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}
