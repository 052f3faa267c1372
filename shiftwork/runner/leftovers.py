"""Locks that say whether a process still lives, and the end of what a dead worker left."""

import asyncio
import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

import psutil

from shiftwork.errors import Conflict
from shiftwork.sandbox.sweep import kill_all

_POLL = 0.02
"""Seconds between two tries to get a lock."""


class RunLock:
    """A file that is locked while any process of one run lives, and names the run's marker until a clean end.

    Raises:
        Conflict: another run still holds it.
    """

    def __init__(self, path: Path, marker: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.fd = _open(path)
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
    if not lock_file.exists():
        return True
    deadline = time.monotonic() + timeout
    fd = _open(lock_file)
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
        fd = _open(lock_file)
        try:
            if marker := _marker(fd):
                killed += await asyncio.to_thread(kill_all, marker, timeout=timeout)
        finally:
            os.close(fd)
        if not await wait_until_gone(lock_file, timeout):
            raise TimeoutError(f"{str(lock_file)!r} is still held by a process that can't be found")
    return killed


async def sweep_orphans(projects_folder: Path, timeout: float = 10.0) -> int:
    """End the runs, anywhere below this folder, whose worker is dead; those of living workers are left alone.

    Call it when a worker starts.

    Returns:
        How many processes were killed.

    Raises:
        TimeoutError: some can't be killed.
    """
    killed = 0
    for lock_file in sorted(projects_folder.rglob("*.lock")):
        if lock_file.is_symlink() or not lock_file.is_file():
            continue
        fd = _open(lock_file)
        try:
            record = _record(fd)
            if not isinstance(record.get("marker"), str) or _worker_lives(record):
                continue
            killed += await asyncio.to_thread(kill_all, record["marker"], timeout=timeout)
        finally:
            os.close(fd)
        if not await wait_until_gone(lock_file, timeout):
            raise TimeoutError(f"{str(lock_file)!r} is still held by a process that can't be found")
    return killed


def _worker_lives(record: dict[str, Any]) -> bool:
    """Whether the process that wrote it still runs; another that got its pid was born at another time."""
    born = _born(record.get("worker"))
    return born is not None and born == record.get("born", born)


def _born(pid: object) -> float | None:
    if not isinstance(pid, int) or pid <= 0:
        return None
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


async def _finish(fd: int, timeout: float) -> bool:
    if marker := _marker(fd):
        try:
            await asyncio.to_thread(kill_all, marker, timeout=timeout)
        except TimeoutError:
            return False
        os.ftruncate(fd, 0)
    return True


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _marker(fd: int) -> str | None:
    marker = _record(fd).get("marker")
    return None if marker is None else str(marker)


def _record(fd: int) -> dict[str, Any]:
    """What a run wrote; nothing if its worker died while it wrote, before it started anything."""
    try:
        record = json.loads(os.pread(fd, 4096, 0))
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
