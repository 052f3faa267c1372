"""Finding and killing every process that bears a sandbox's marker, and its descendants."""

import contextlib
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet

import psutil

from shiftwork.sandbox.hunt import Hunt
from shiftwork.sandbox.proc import LINUX, MARKER, is_zombie, tag_for, tag_of

_PAUSE = 0.005
"""Seconds between two looks at the process table."""

_LOOKS = 50
"""Looks that are taken at least before something counts as what can't be killed: where the machine stood
still for a while, what was killed had no time to end."""

_CALM, _SURE, _UNSURE = 24, 8, 1
"""When nothing counts as left: after three looks that found nothing, and missed nothing born meanwhile.
One that may have missed something counts for less, so that a busy machine does not keep us for ever."""


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
    """Kill every process of a sandbox until none is left; how many were found.

    Gives up after `timeout` seconds, if it could look often enough in them.

    One empty look is no proof: what forks and ends all the time is seldom there when it is looked at.

    Raises:
        TimeoutError: some can't be killed (another user's, or stuck in the kernel).
    """
    hunt = Hunt(marker, _tag(marker), spare) if LINUX else None
    look: Callable[[], tuple[set[int], bool]] = hunt.look if hunt else lambda: _kill_seen(marker, spare)
    deadline, looks, calm = time.monotonic() + timeout, 0, 0
    killed: set[int] = set()
    while calm < _CALM:
        found, sure = look()
        looks += 1
        if found and looks >= _LOOKS and time.monotonic() > deadline:
            raise TimeoutError(f"processes {sorted(found)} can't be killed")
        if not found:
            calm += _SURE if sure else _UNSURE
        else:
            calm = 0
        if found <= killed:  # else it is at our heels, and there may be more
            time.sleep(_PAUSE)
        killed |= found
    return len(killed)


def _kill_seen(marker: str, spare: AbstractSet[int]) -> tuple[set[int], bool]:
    """The same as `Hunt.look`, where there is no `/proc`."""
    found = processes_of(marker, spare=spare)
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.kill()
    return {process.pid for process in found}, True


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
    if LINUX:
        return not is_zombie(process.pid)
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
