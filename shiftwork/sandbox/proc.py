"""Looking at processes: a tag that all descendants inherit, children, and environments.

The tag is a soft limit on the time of real-time processes (`RLIMIT_RTTIME`): thousands of years, so that it
limits nothing, but inherited by all that descends from an agent, whatever it does to its session, its
environment and its parents, and read in a microsecond. A program that is not confined may change its own: so
it helps to find what a lost worker left, and nobody's limits, and nobody's end, depend on it.
"""

import contextlib
import os
import resource
import sys

MARKER = "SHIFTWORK_SANDBOX"
"""The environment variable whose unique value marks every process of one sandbox."""

LINUX = sys.platform == "linux"


def tag_for(marker: str) -> int:
    """The tag of a marker of hexadecimal digits."""
    return (1 << 62) | (int(marker, 16) & ((1 << 60) - 1))


def tag_of(pid: int) -> int | None:
    """The tag of a process, or None if it has none or is gone."""
    if sys.platform != "linux":
        return None
    try:
        soft, _ = resource.prlimit(pid, resource.RLIMIT_RTTIME)
    except PermissionError:
        soft = _soft_limit_of_another(pid)
    except OSError:
        return None
    return soft if soft >> 62 == 1 else None


def _soft_limit_of_another(pid: int) -> int:
    """As text, which everybody may read; the call needs a right that root of a container has not. 0: none."""
    try:
        with open(f"/proc/{pid}/limits", "rb") as file:  # noqa: PTH123 - no pathlib here
            words = file.read().partition(b"Max realtime timeout")[2].split(maxsplit=1)
    except OSError:
        return 0
    return int(words[0]) if words and words[0].isdigit() else 0


def set_tag(pid: int, marker: str) -> None:
    """Tag a process and all that it starts from now on, if it is still there."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            resource.prlimit(pid, resource.RLIMIT_RTTIME, (tag_for(marker), resource.RLIM_INFINITY))


def marker_of(pid: int) -> str | None:
    """The marker in the environment that a process was started with (Linux)."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - no pathlib here
            entries = file.read().split(b"\0")
    except OSError:
        return None
    prefix = f"{MARKER}=".encode()
    return next((e[len(prefix) :].decode(errors="replace") for e in entries if e.startswith(prefix)), None)


def children(pid: int) -> list[int]:
    """The children of a process, those that are ended but not waited for included (Linux)."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - names are wanted, and quickly
    except OSError:
        return []
    found: list[int] = []
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:  # noqa: PTH123 - no pathlib here
                found += map(int, file.read().split())
        except OSError:  # The thread is gone, or the kernel was built without these files.
            own = os.getpid()
            if not os.path.exists(f"/proc/{own}/task/{own}/children"):  # noqa: PTH110 - quickly
                return _children_by_parent(pid)
    return found


def _children_by_parent(parent: int) -> list[int]:
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are wanted, and quickly
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - no pathlib here
                if int(file.read().rpartition(b")")[2].split()[1]) == parent:
                    found.append(int(name))
    return found


def is_zombie(pid: int) -> bool:
    """Whether a process is dead, waited for or not (Linux)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - no pathlib here
            return is_dead(file.read().rpartition(b")")[2].split())
    except OSError:
        return True


def is_dead(words: list[bytes]) -> bool:
    """The same, from the words of its `stat` after its name; a zombie may have other threads that live."""
    return words[0] in {b"Z", b"X"} and int(words[17]) <= 1


def with_descendants(pids: list[int]) -> list[int]:
    """These processes and all that descend from them, parents first (Linux)."""
    found: list[int] = []
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children(pid)
    return found
