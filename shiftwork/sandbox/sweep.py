"""Finding and killing every process that bears a sandbox's marker, and its descendants."""

import contextlib
import time
from collections.abc import Set as AbstractSet

import psutil

from shiftwork.sandbox.proc import MARKER, tag_for, tag_of

_PAUSE = 0.005
"""Seconds between two looks at the process table."""


def processes_of(marker: str, *, spare: AbstractSet[int] = frozenset()) -> list[psutil.Process]:
    """Every living process with this marker in its environment or its tag, and the descendants of such.

    Those to spare are left out, but not their descendants. Zombies are dead.
    """
    found: dict[int, psutil.Process] = {}
    tag = _tag(marker)
    for process in psutil.process_iter():
        if process.pid not in found and _bears(process, marker, tag):
            found[process.pid] = process
            with contextlib.suppress(psutil.Error):
                found.update((child.pid, child) for child in process.children(recursive=True))
    return [process for process in found.values() if process.pid not in spare and _lives(process)]


def kill_all(marker: str, *, spare: AbstractSet[int] = frozenset(), timeout: float = 10.0) -> int:
    """Kill every process of a sandbox until none is left, at most `timeout` seconds; how many were found.

    Raises:
        TimeoutError: some can't be killed (another user's, or stuck in the kernel).
    """
    deadline = time.monotonic() + timeout
    killed: set[int] = set()
    while processes := processes_of(marker, spare=spare):
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {sorted(p.pid for p in processes)} can't be killed")
        for process in processes:
            killed.add(process.pid)
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(_PAUSE)
    return len(killed)


def _bears(process: psutil.Process, marker: str, tag: int | None) -> bool:
    if tag is not None and tag_of(process.pid) == tag:
        return True
    try:
        return process.environ().get(MARKER) == marker
    except (psutil.Error, OSError):
        return False  # Gone, a zombie, or another user's: not one that we started.


def _tag(marker: str) -> int | None:
    try:
        return tag_for(marker)
    except ValueError:
        return None  # Not one of ours: a broken record.


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
