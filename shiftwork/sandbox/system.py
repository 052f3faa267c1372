"""The system's own programs, libraries and settings, as every confined program sees them."""

import contextlib
import os
import stat
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from shiftwork.sandbox.visible import SYSTEM

Option = str | bytes
"""A word for bubblewrap; bytes are the content of a file, whose descriptor's number takes their place."""

Step = tuple[Option, ...]
"""What bubblewrap does at one path of the root that it makes, which is the last of the words."""

COPY: Final = ("--perms", "0644", "--file")
"""What goes before a content and its path; a copy costs less than a mount, and shows no other file."""

_FOLDERS: Final = ("alternatives", "ssl/certs", "pki/tls", "pki/ca-trust", "ca-certificates/extracted")
_FILES: Final = ("ld.so.cache", "localtime", "nsswitch.conf", "ssl/openssl.cnf", "hosts")
_NETWORK_FILES: Final = ("resolv.conf",)


def system_steps(*, network: bool) -> Iterable[Step]:
    """What makes them visible, read only; with a network, how to find others on it, too."""
    yield from _lasting()
    yield from copies(f"/etc/{name}" for name in (*_FILES, *(_NETWORK_FILES if network else ())))


def copies(paths: Iterable[str]) -> Iterable[Step]:
    """What makes these files visible as they are at this moment, if everybody may read them."""
    for path in paths:
        with contextlib.suppress(OSError):
            found = os.stat(path)  # noqa: PTH116 - a third of the time, for each program
            if found.st_mode & stat.S_IROTH:
                yield from _file_of(path, found.st_ino, found.st_ctime_ns)


def names(user: int, group: int, home: str) -> Iterable[Step]:
    """Who the program's user is, and hardly anybody else."""
    yield (*COPY, _passwd(user, group, home), "/etc/passwd")
    yield (*COPY, _group(group), "/etc/group")


def _passwd(user: int, group: int, home: str) -> bytes:
    agent = f"agent:x:{user}:{group}:Agent:{_one_field(home)}:/bin/sh\n"
    others = "root:x:0:0:root:/:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n"
    return ((others if user else "") + agent).encode()


def _group(group: int) -> bytes:
    return (("root:x:0:\nnogroup:x:65534:\n" if group else "") + f"agent:x:{group}:\n").encode()


def _one_field(home: str) -> str:
    return home if home.startswith("/") and not set(home) & {":", "\n"} else "/"


@lru_cache(maxsize=16)
def _file_of(path: str, number: int, changed: int) -> tuple[Step, ...]:
    """The file as it is since it has this inode and was changed then; following links takes longer."""
    del number, changed
    return _file(Path(path))


@cache
def _lasting() -> tuple[Step, ...]:
    """What changes only when the system is updated; looking it up takes longer than mounting it."""
    return (*_programs(), ("--dir", "/etc"), ("--dir", "/etc/ssl"), *_settings())


def _programs() -> Iterable[Step]:
    for folder in SYSTEM:
        if folder.is_symlink():
            yield ("--symlink", str(folder.readlink()), str(folder))
        elif folder.is_dir():
            yield from _mount(folder)


def _settings() -> Iterable[Step]:
    for name in _FOLDERS:
        folder = Path("/etc") / name
        if folder.is_dir():
            yield from _mount(folder)


def _mount(folder: Path) -> Iterable[Step]:
    """Its parent is made first, because bubblewrap itself would make that for its own user alone."""
    if folder.parent != Path("/"):
        yield ("--dir", str(folder.parent))
    yield ("--ro-bind", str(folder.resolve()), str(folder))


def _file(path: Path) -> tuple[Step, ...]:
    """A copy, or a link where it is one into what is visible; nothing where it can't be read."""
    with contextlib.suppress(OSError):
        target = path.resolve(strict=True)
        if any(target.is_relative_to(folder) for folder in SYSTEM):
            return (("--symlink", str(target), str(path)),)
        return ((*COPY, path.read_bytes(), str(path)),)
    return ()
