"""The system's own programs, libraries and settings, as every confined program sees them."""

import contextlib
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from shiftwork.sandbox.visible import SYSTEM

Option = str | bytes
"""A word for bubblewrap; bytes are the content of a file, whose descriptor's number takes their place."""

COPY: Final = ("--perms", "0644", "--file")
"""What goes before a content and its path; a copy costs less than a mount, and shows no other file."""

_FOLDERS: Final = ("alternatives", "ssl/certs", "pki/tls", "pki/ca-trust", "ca-certificates/extracted")
_FILES: Final = ("ld.so.cache", "localtime", "nsswitch.conf", "ssl/openssl.cnf")
_CHANGING_FILES: Final = (Path("/etc/hosts"),)
_NETWORK_FILES: Final = (Path("/etc/resolv.conf"),)


def system_options(*, network: bool) -> Iterable[Option]:
    """What makes them visible, read only; with a network, how to find others on it, too."""
    yield from _lasting()
    for path in (*_CHANGING_FILES, *(_NETWORK_FILES if network else ())):
        with contextlib.suppress(OSError):
            found = path.stat()
            yield from _file_of(path, found.st_ino, found.st_mtime_ns)


@lru_cache(maxsize=16)
def _file_of(path: Path, number: int, changed: int) -> tuple[Option, ...]:
    """The file as it is since it has this inode and was changed then; following links takes longer."""
    del number, changed
    return _file(path)


@cache
def _lasting() -> tuple[Option, ...]:
    """What changes only when the system is updated; looking it up takes longer than mounting it."""
    return (*_programs(), *_settings())


def _programs() -> Iterable[str]:
    for folder in SYSTEM:
        if folder.is_symlink():
            yield from ("--symlink", str(folder.readlink()), str(folder))
        elif folder.is_dir():
            yield from _mount(folder)


def _settings() -> Iterable[Option]:
    yield from ("--dir", "/etc", "--dir", "/etc/ssl")
    for name in _FILES:
        yield from _file(Path("/etc") / name)
    for name in _FOLDERS:
        folder = Path("/etc") / name
        if folder.is_dir():
            yield from _mount(folder)


def _mount(folder: Path) -> tuple[str, ...]:
    """Its parent is made first, because bubblewrap itself would make that for its own user alone."""
    parent = () if folder.parent == Path("/") else ("--dir", str(folder.parent))
    return (*parent, "--ro-bind", str(folder.resolve()), str(folder))


def _file(path: Path) -> tuple[Option, ...]:
    """A copy, or a link where it is one into what is visible; nothing where it can't be read."""
    with contextlib.suppress(OSError):
        target = path.resolve(strict=True)
        if any(target.is_relative_to(folder) for folder in SYSTEM):
            return ("--symlink", str(target), str(path))
        return (*COPY, path.read_bytes(), str(path))
    return ()
