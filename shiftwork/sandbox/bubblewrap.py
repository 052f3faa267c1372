"""What bubblewrap is told to make of a confinement: a root with nothing in it but what was given."""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from shiftwork.runner.environment import base_python
from shiftwork.sandbox.base import MARKER, Launch
from shiftwork.sandbox.become import program_to_become, tools_to_become
from shiftwork.sandbox.bounds import confined_rlimits
from shiftwork.sandbox.confinement import DOOR_FD, Bind, Confinement, Network
from shiftwork.sandbox.door import through_door
from shiftwork.sandbox.first import first_process
from shiftwork.sandbox.roots import Roots
from shiftwork.sandbox.seccomp import seccomp_filter
from shiftwork.sandbox.system import Option, Step, names, system_steps
from shiftwork.sandbox.user import can_change_user
from shiftwork.sandbox.visible import SYSTEM, installation_of

_FIRST_DATA: Final = DOOR_FD + 1
"""From this number on bubblewrap reads what it is told; it closes all of these before it starts anything."""

_KEEP_ROOT: Final = ("CAP_KILL", "CAP_SETGID", "CAP_SETUID")
"""What the first process inside needs to start the program as another user, and to end it."""

_LOADER: Final = ("LD_", "BASH_", "GCONV_PATH", "GLIBC_TUNABLES", "LOCPATH", "ENV", "SHELLOPTS", "IFS", "PS4")
"""Variables that change what the shell does that leads the sandbox; only the program gets them."""

FIRST: Final = "/.first"
"""Where the program of process 1 is seen; see `Plan.first`."""

_BECOME: Final = "/.become"
"""Where the program is seen that becomes another user; a name without spaces (see `Plan.drop`)."""

_MOST_SHM_MB: Final = 256

_MOST_OPTIONS: Final = 8_900
"""Bubblewrap takes 9,000 words, those on its command line among them."""

_TMP: Final = Path("/tmp")  # noqa: S108 - the program's own


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start bubblewrap with.

    Attributes:
        options: its options.
        drop: the words that go before the program so that it runs as another user; maybe none.
        argv: the program, with what else has to come before it.
        first: whether `FIRST` is there to be process 1, with the program's limits; else a shell has to be.
    """

    options: tuple[Option, ...]
    drop: tuple[str, ...]
    argv: tuple[str, ...]
    first: bool

    def write(self, closing: contextlib.ExitStack) -> tuple[tuple[str, ...], dict[int, int]]:
        """The options as they go on the command line, and the descriptors that bubblewrap is to inherit.

        The descriptors are files in memory, ours until `closing` is closed. The options themselves are one
        of them, so that no list of processes shows the environment.
        """
        inherited: dict[int, int] = {}

        def number_of(content: bytes) -> str:
            fd = _file_in_memory(content, closing)
            inherited[fd] = fd  # under its own number, which costs nothing
            return str(fd)

        words = [number_of(word) if isinstance(word, bytes) else word for word in self.options]
        arguments = number_of("".join(f"{word}\0" for word in words).encode(errors="surrogateescape"))
        return ("--args", arguments), inherited


def plan(launch: Launch, confinement: Confinement) -> Plan:
    """How to hold a program to its confinement.

    Raises:
        OSError: what it is to see does not exist, or it can't be run as that user.
        ValueError: it is to have a door and there is none, or the other way round; or it is too much.
    """
    if (confinement.network is Network.DOOR) != (launch.door is not None):
        raise ValueError("A program has a door if and only if its network is one.")
    program = seccomp_filter()
    if program is None:
        raise OSError(errno.ENOSYS, "No filter of system calls is known for this machine's architecture")
    binds, home, drop = _all_binds(confinement), launch.env.get("HOME", ""), _drop(confinement)
    first = _first(launch, confinement, drop)
    options: list[Option] = [
        *_namespaces(confinement),
        *_environment(launch),
        *(word for step in _root(confinement, home, binds, first) for word in step),
        *("--remount-ro", "/dev"),
        *("--seccomp", program),
    ]
    if len(options) > _MOST_OPTIONS:
        raise ValueError(
            f"what it is to see, and its environment, are {len(options):,} words for bubblewrap, which takes "
            f"{_MOST_OPTIONS:,}; list fewer paths, and deep ones least"
        )
    return Plan(tuple(options), drop, _program(launch, confinement), bool(first))


def _file_in_memory(content: bytes, closing: contextlib.ExitStack) -> int:
    fd = os.memfd_create("shiftwork", os.MFD_CLOEXEC)
    closing.callback(os.close, fd)
    if fd < _FIRST_DATA:
        fd = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_DATA)
        closing.callback(os.close, fd)
    written = 0
    while written < len(content):
        written += os.pwrite(fd, content[written:], written)  # which leaves the position at the start
    return fd


def _root(
    confinement: Confinement, home: str, binds: Sequence[Bind], first: Iterable[Step]
) -> Iterable[Step]:
    """All that the program sees, read only but for what is mounted as writable."""
    steps = [
        *system_steps(network=confinement.network is Network.HOST),
        *names(*_user_and_group(confinement), home),
        *_become(confinement),
        *first,
        *_private(confinement, home, binds),
        *_binds(binds),
    ]
    if _is_other_user(confinement) and (prepared := _roots(os.getpid()).prepared(steps)):
        return prepared
    return (*steps, ("--remount-ro", "/"))  # last, because the mount points of all the others had to be made


@lru_cache(maxsize=1)
def _roots(process: int) -> Roots:
    """Those of this process: one that was forked from it makes its own."""
    del process
    return Roots()


def _is_other_user(confinement: Confinement) -> bool:
    """Whether the program is another user than we are, who can't touch what we own."""
    return confinement.user not in (None, os.geteuid())


def _namespaces(confinement: Confinement) -> Iterable[str]:
    yield from ("--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try", "--as-pid-1")
    yield from ("--die-with-parent", "--new-session", "--cap-drop", "ALL")
    if confinement.network is not Network.HOST:
        yield "--unshare-net"
    if _is_other_user(confinement):
        if not can_change_user():
            raise PermissionError(
                errno.EPERM, "Only root, with its capabilities, can run a program as another user."
            )
        for capability in _KEEP_ROOT:
            yield from ("--cap-add", capability)
    elif not can_change_user():
        yield from ("--unshare-user", "--disable-userns")


def _environment(launch: Launch) -> Iterable[str]:
    yield "--clearenv"
    for name, value in (*launch.env.items(), (MARKER, launch.marker)):
        if not name.startswith(_LOADER):
            yield from ("--setenv", name, value)


def _user_and_group(confinement: Confinement) -> tuple[int, int]:
    if confinement.user is None:
        return os.geteuid(), os.getegid()
    return confinement.user, confinement.user


def _become(confinement: Confinement) -> Iterable[Step]:
    """What the program begins as; it can run it too, and is nobody else by that."""
    user = _becomes(confinement)
    if user is not None and (program := program_to_become(user)):
        yield ("--perms", "0555", "--file", program, _BECOME)


def _first(launch: Launch, confinement: Confinement, drop: tuple[str, ...]) -> tuple[Step, ...]:
    """What process 1 is, where it is no shell."""
    if drop not in ((), (_BECOME,)):
        return ()
    limits = confined_rlimits(launch.limits, confinement, sends=launch.door is not None)
    program = first_process(limits, drops=bool(drop))
    return () if program is None else (("--perms", "0555", "--file", program, FIRST),)


def _private(confinement: Confinement, home: str, binds: Sequence[Bind]) -> Iterable[Step]:
    """Private folders in memory; everybody inside may write there, which is only the program's user."""
    size = confinement.scratch_mb
    # Read only, because a program could write to the memory of what leads its sandbox, if that is the same
    # user, and root to `core_pattern`; at once, because it takes the longer the more mounts there are.
    yield from (("--proc", "/proc"), ("--remount-ro", "/proc"), ("--dev", "/dev"))
    yield _tmpfs("/dev/shm", min(size, _MOST_SHM_MB))  # noqa: S108 - it is made private here
    if all(bind.target != _TMP for bind in binds):
        yield _tmpfs(str(_TMP), size)
    if home.startswith("/") and not _is_covered(Path(home), binds):
        yield _tmpfs(home, size)


def _tmpfs(folder: str, megabytes: int) -> Step:
    return ("--size", str(megabytes * 1_000_000), "--perms", "1777", "--tmpfs", folder)


def _is_covered(home: Path, binds: Sequence[Bind]) -> bool:
    """Whether there is a home already, or may be none: never in the place of the system's folders."""
    targets = (*(bind.target for bind in binds), *SYSTEM, *map(Path, ("/etc", "/proc", "/dev")))
    return home == Path("/") or any(home.is_relative_to(target) for target in targets)


def _all_binds(confinement: Confinement) -> list[Bind]:
    """Those that were given, and the interpreter of the door's opener, outer folders before inner ones."""
    binds = {bind.target: bind for bind in confinement.binds}
    if confinement.network is Network.DOOR:
        for path in _interpreter():
            binds.setdefault(path, Bind(path, path))
    return sorted(binds.values(), key=lambda bind: len(bind.target.parts))


@cache
def _interpreter() -> tuple[Path, ...]:
    """What the door's opener runs on; it stays where it is as long as this process lives."""
    return installation_of(base_python(), "")


def _binds(binds: Sequence[Bind]) -> Iterable[Step]:
    made: set[Path] = {Path("/"), _TMP, *SYSTEM}
    for bind in binds:
        yield from _parents(bind.target, made)
        source, target = str(bind.source), str(bind.target)
        if _is_link(source):
            # A link stays one: what it leads to is visible only if that was given, too.
            yield ("--symlink", str(bind.source.readlink()), target)
        else:
            yield ("--bind" if bind.writable else "--ro-bind", source, target)
        made.add(bind.target)


def _is_link(source: str) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(source).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(errno.ENOENT, "What a program was to see does not exist", source) from None


def _parents(target: Path, made: set[Path]) -> Iterable[Step]:
    """The folders on the way, which bubblewrap itself would make for its own user alone."""
    missing: list[Path] = []
    for folder in target.parents:
        if folder in made:
            break
        missing.append(folder)
    for folder in reversed(missing):
        yield ("--dir", str(folder))
    made.update(missing)


def _drop(confinement: Confinement) -> tuple[str, ...]:
    """A program that becomes another user and then the program; the door's opener needs none before it."""
    user = _becomes(confinement)
    if user is None:
        return ()
    return tools_to_become(user) if program_to_become(user) is None else (_BECOME,)


def _becomes(confinement: Confinement) -> int | None:
    return (
        confinement.user if _is_other_user(confinement) and confinement.network is not Network.DOOR else None
    )


def _program(launch: Launch, confinement: Confinement) -> tuple[str, ...]:
    late = [f"{name}={value}" for name, value in launch.env.items() if name.startswith(_LOADER)]
    argv = ("/usr/bin/env", *late, *launch.argv) if late else launch.argv
    if confinement.network is not Network.DOOR:
        return argv
    user = None if confinement.user == os.geteuid() else confinement.user
    files = launch.limits.files_after_sending()
    return through_door(str(base_python()), argv, folder=launch.cwd, user=user, files=files)
