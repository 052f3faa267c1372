"""The control groups of this process: what they let it use, and what they use (Linux, versions 1 and 2).

Every group above ours that we can see may limit us too. Where each is mounted is looked up once; limits and
figures are read anew each time, because they may be changed while we run.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from shiftwork.resources.files import key_of, number_in, read

_OCTAL = re.compile(rb"\\([0-7]{3})")
_UNLIMITED = 1 << 60
"""Version 1 says some number above this where there is no limit."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted hierarchy.

    Attributes:
        group: the group that is its folder.
        folder: where that is.
        controllers: of version 1, empty for version 2.
    """

    group: PurePosixPath
    folder: Path
    controllers: frozenset[str]


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """Memory of one group, in bytes; `free` may be negative for a moment."""

    limit: int
    free: int


@dataclass(frozen=True, slots=True)
class CpuGroup:
    """Processor time of one group with a limit: how many processors it has, and seconds used so far."""

    folder: Path
    cpus: float
    used: float


class Cgroups:
    """The groups of this process.

    Args:
        root: where `/` is; another folder than that is for whoever looks at a copy.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        groups = _groups(read(f"{root}/proc/self/cgroup"))
        mounts = list(_mounts(read(f"{root}/proc/self/mountinfo"), root))
        self._memory = _folders("memory", groups, mounts)
        accounting = _by_name(_folders("cpuacct", groups, mounts))
        cpu = _by_name(_folders("cpu", groups, mounts))
        self._cpu = [(folder, accounting.get(name, folder)) for name, folder in cpu.items()]
        unified = _folders("", groups, mounts)
        # The topmost of a machine has no such files; where version 1 has a controller, none has.
        self._memory_unified = [one for one in unified if (one / "memory.max").exists()]
        self._cpu_unified = [one for one in unified if (one / "cpu.max").exists()]

    def memory(self) -> list[MemoryGroup]:
        """All groups that limit our memory."""
        found = [_memory_v1(folder) for folder in self._memory]
        found += [_memory_v2(folder) for folder in self._memory_unified]
        return [one for one in found if one is not None]

    def cpu(self) -> list[CpuGroup]:
        """All groups that limit our processor time."""
        found = [_cpu_v1(folder, accounting) for folder, accounting in self._cpu]
        found += [_cpu_v2(folder) for folder in self._cpu_unified]
        return [one for one in found if one is not None]


def _groups(text: bytes) -> dict[str, PurePosixPath]:
    """The group of each controller; that of version 2 under the empty name."""
    found = {}
    for line in text.decode(errors="surrogateescape").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number.isdigit() and path.startswith("/"):
            for controller in controllers.split(","):
                found[controller] = PurePosixPath(path)
    return found


def _mounts(text: bytes, root: Path) -> Iterator[Mount]:
    for line in text.splitlines():
        before, _, after = line.partition(b" - ")
        words, about = before.split(b" "), after.split(b" ")
        if len(words) < 5 or about[0] not in (b"cgroup", b"cgroup2"):
            continue
        controllers = about[-1].decode(errors="replace").split(",") if about[0] == b"cgroup" else ()
        place = PurePosixPath(_plain(words[4]))
        yield Mount(PurePosixPath(_plain(words[3])), root / place.relative_to("/"), frozenset(controllers))


def _plain(word: bytes) -> str:
    """A path of `mountinfo`, in which blanks are written as octal numbers."""
    return _OCTAL.sub(lambda found: bytes([int(found[1], 8)]), word).decode(errors="surrogateescape")


def _folders(controller: str, groups: dict[str, PurePosixPath], mounts: list[Mount]) -> list[Path]:
    """Our group of a controller and those above it, nearest first; none where it is not mounted."""
    group = groups.get(controller)
    candidates = [
        one for one in mounts if (controller in one.controllers if controller else not one.controllers)
    ]
    if group is None or not candidates:
        return []
    holding = [one for one in candidates if group.is_relative_to(one.group) and ".." not in group.parts]
    if not holding:
        # Names of another namespace: what is mounted is as much of it as we are to see.
        return [candidates[0].folder]
    mount = max(holding, key=lambda one: len(one.group.parts))
    folder = mount.folder / group.relative_to(mount.group)
    chain = [folder, *folder.parents]
    return [one for one in chain[: chain.index(mount.folder) + 1] if one.is_dir()]


def _by_name(folders: list[Path]) -> dict[Path, Path]:
    """These by their names below the last, so that those of two hierarchies can be put side by side."""
    return {one.relative_to(folders[-1]): one for one in folders}


def _memory_v1(folder: Path) -> MemoryGroup | None:
    limit = number_in(f"{folder}/memory.limit_in_bytes")
    return _memory(folder, limit, "memory.usage_in_bytes", b"total_inactive_file")


def _memory_v2(folder: Path) -> MemoryGroup | None:
    limits = [number_in(f"{folder}/memory.max"), number_in(f"{folder}/memory.high")]
    limit = min((one for one in limits if one is not None), default=None)
    return _memory(folder, limit, "memory.current", b"inactive_file")


def _memory(folder: Path, limit: int | None, current: str, cache: bytes) -> MemoryGroup | None:
    if limit is None or not 0 <= limit < _UNLIMITED:
        return None
    used = number_in(f"{folder}/{current}")
    if used is None:
        return None
    # Files that nobody used lately count as used, but are given up first.
    idle = key_of(read(f"{folder}/memory.stat"), cache) or 0
    return MemoryGroup(limit, limit - max(0, used - idle))


def _cpu_v1(folder: Path, accounting: Path) -> CpuGroup | None:
    quota = number_in(f"{folder}/cpu.cfs_quota_us")
    if quota is None or quota <= 0:
        return None
    period, used = number_in(f"{folder}/cpu.cfs_period_us"), number_in(f"{accounting}/cpuacct.usage")
    return CpuGroup(folder, quota / period, used / 1e9) if period and used is not None else None


def _cpu_v2(folder: Path) -> CpuGroup | None:
    words = read(f"{folder}/cpu.max").split()
    if len(words) != 2 or not all(word.isdigit() and int(word) for word in words):  # else it is `max`
        return None
    used = key_of(read(f"{folder}/cpu.stat"), b"usage_usec")
    return None if used is None else CpuGroup(folder, int(words[0]) / int(words[1]), used / 1e6)
