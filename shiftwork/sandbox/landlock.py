"""A sandbox without namespaces: Landlock for files and TCP, seccomp for calls, a warden for processes."""

import ctypes
import errno
import marshal
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from shiftwork.runner.limits import Limits
from shiftwork.sandbox.base import MARKER, Launch
from shiftwork.sandbox.confinement import Confinement, Network
from shiftwork.sandbox.landlock_calls import refusals_for
from shiftwork.sandbox.probe import holds
from shiftwork.sandbox.seccomp import seccomp_filter
from shiftwork.sandbox.subreaper import HeldByWarden, Subreaper
from shiftwork.sandbox.visible import SYSTEM

_LAUNCHER: Final = Path(__file__).with_name("landlock_launcher.py")
_CREATE_RULESET, _VERSION = 444, 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 0x1, 0x2, 0x4, 0x8
_MAKE_CHAR, _MAKE_BLOCK = 0x40, 0x800
_REFER, _TRUNCATE, _IOCTL_DEV = 0x2000, 0x4000, 0x8000
_BIND_TCP, _CONNECT_TCP = 0x1, 0x2
_ABSTRACT_SOCKETS, _SIGNALS = 0x1, 0x2

_TASKS_PER_PROCESS, _FEWEST_TASKS = 32, 256

_READ: Final = _EXECUTE | _READ_FILE | _READ_DIR

_SYSTEM: Final = (
    *map(str, SYSTEM),
    *("/etc/alternatives", "/etc/ca-certificates", "/etc/crypto-policies", "/etc/fonts", "/etc/gitconfig"),
    *("/etc/group", "/etc/host.conf", "/etc/hosts", "/etc/java", "/etc/ld.so.cache", "/etc/ld.so.conf"),
    *("/etc/ld.so.conf.d", "/etc/localtime", "/etc/login.defs", "/etc/magic", "/etc/mime.types"),
    *("/etc/nsswitch.conf", "/etc/os-release", "/etc/passwd", "/etc/pki", "/etc/protocols"),
    *("/etc/resolv.conf", "/etc/services", "/etc/shells", "/etc/ssl", "/etc/timezone"),
    # All of it, because runtimes end if they can't read what it says of themselves, and the numbers of future
    # processes are not known. Memory, environments and open files of others stay closed all the same.
    "/proc",
    *("/sys/devices/system", "/sys/fs/cgroup", "/sys/kernel/mm/transparent_hugepage"),
)
"""What every program may read, where it exists."""

_DEVICES: Final = ("/dev/full", "/dev/null", "/dev/random", "/dev/urandom", "/dev/zero")


@dataclass(frozen=True, slots=True)
class Abi:
    """What a kernel's Landlock can do.

    Attributes:
        version: of its interface; 0 where there is none.
        error: why there is none, as an `errno` number.
    """

    version: int
    error: int = 0

    @property
    def files(self) -> int:
        """The rights on files that it handles."""
        known = _REFER - 1
        for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV)):
            known |= right if self.version >= since else 0
        return known

    @property
    def network(self) -> int:
        """The rights on TCP that it handles."""
        return _BIND_TCP | _CONNECT_TCP if self.version >= 4 else 0

    @property
    def scoped(self) -> int:
        """What it keeps within the sandbox: abstract unix sockets and signals."""
        return _ABSTRACT_SOCKETS | _SIGNALS if self.version >= 6 else 0

    @property
    def size(self) -> int:
        """How many bytes of the attributes of a ruleset it knows."""
        return 24 if self.version >= 6 else 16 if self.version >= 4 else 8

    @property
    def gaps(self) -> tuple[str, ...]:
        """One sentence for everything that a newer kernel would confine."""
        found = []
        if self.version < 3:
            found.append("Files of its user can be cut short anywhere (Linux 6.2 and newer prevent it).")
        if self.version < 4:
            found.append("With a gateway, TCP is not confined (Linux 6.7 and newer confine it to a port).")
        if self.version < 6:
            found.append("Processes of its user can be signalled (Linux 6.12 and newer prevent it).")
        return tuple(found)


def detect() -> Abi:
    """What the kernel that runs us can do."""
    if sys.platform != "linux":
        return Abi(0, errno.ENOSYS)
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)
    return Abi(version) if version > 0 else Abi(0, ctypes.get_errno())


class Landlock:
    """Programs that a small launcher confines before it becomes them, started and ended by a warden.

    Args:
        warden: what starts them and keeps their processes together.
        abi: what the kernel can do; by default it is asked.
    """

    level = "landlock"
    moves_binds = False
    own_network = False

    def __init__(self, warden: Subreaper, abi: Abi | None = None) -> None:
        self.abi = detect() if abi is None else abi
        self._warden = warden

    def works(self) -> bool:
        """See `Sandbox.works`; found by running something that tries to read what it may not."""
        return self.abi.version > 0 and seccomp_filter() is not None and holds(self)

    def start(self, launch: Launch) -> HeldByWarden:
        """See `Sandbox.start`; without a confinement a program is held together and nothing else."""
        if launch.confinement is None:
            return self._warden.start(launch)
        env = {**launch.env, **temporary_folder(launch.env, launch.confinement)}
        policy = self._policy(launch.confinement, launch.limits, env.get("TMPDIR", ""))
        launcher = (sys.executable, "-I", "-S", str(_LAUNCHER), marshal.dumps(policy).hex())
        return self._warden.start(
            replace(
                launch,
                argv=(*launcher, *launch.argv),
                env={f"_{name}": value for name, value in env.items()},
                confinement=None,
                door=None,
            )
        )

    def _policy(self, confinement: Confinement, limits: Limits, tmp: str) -> dict[str, Any]:
        """What the launcher is told; raises `OSError` where there is no filter for this machine."""
        code = seccomp_filter(more=refusals_for(confinement.network))
        if code is None:
            raise OSError(errno.ENOSYS, "There is no seccomp filter for this kind of machine.")
        door = confinement.network is Network.DOOR and confinement.gateway_port is not None
        user = confinement.user if os.geteuid() == 0 else None
        return {
            "keep": [MARKER],
            "tmp": tmp,
            "user": user,
            "tasks": _most_tasks(limits),
            "needed": [str(bind.source) for bind in confinement.binds if bind.writable],
            "size": self.abi.size,
            "handled": {
                "files": self.abi.files,
                "network": 0 if confinement.network is Network.HOST else self.abi.network,
                "scoped": self.abi.scoped,
                "connect": _CONNECT_TCP,
            },
            "paths": list(self._paths(confinement)),
            "ports": [confinement.gateway_port] if door and self.abi.network else [],
            "seccomp": code,
        }

    def _paths(self, confinement: Confinement) -> Iterable[dict[str, Any]]:
        everything = self.abi.files & ~(_MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV)
        for path in _SYSTEM:
            yield {"path": path, "rights": _READ, "given": False}
        for path in _DEVICES:
            yield {"path": path, "rights": _READ_FILE | _WRITE_FILE, "given": False}
        for bind in confinement.binds:
            rights = everything if bind.writable else _READ
            # A link that is read needs no right: its target has its own.
            if bind.writable or not bind.source.is_symlink():
                yield {"path": str(bind.source), "rights": rights, "given": True}


def _most_tasks(limits: Limits) -> int | None:
    """What bounds a fork bomb until the supervisor comes: threads count here, and it counts processes."""
    return None if limits.processes is None else max(_TASKS_PER_PROCESS * limits.processes, _FEWEST_TASKS)


def temporary_folder(env: Mapping[str, str], confinement: Confinement) -> dict[str, str]:
    """`TMPDIR` for a program without a `/tmp` of its own: as it is if it may write there, else at home."""
    home = env.get("HOME", "")
    for folder, name in ((env.get("TMPDIR", ""), ""), (home, "tmp")):
        if folder and _writable(Path(folder), confinement):
            return {"TMPDIR": str(Path(folder) / name)}
    return {}


def _writable(folder: Path, confinement: Confinement) -> bool:
    return any(bind.writable and folder.is_relative_to(bind.source) for bind in confinement.binds)
