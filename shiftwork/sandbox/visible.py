"""Which folders a program needs to see where only the system's own are visible."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SYSTEM: Final = tuple(
    Path(name) for name in ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store")
)
"""What every confined program sees."""

_FIRST_LINE: Final = 4096
_DEEPEST: Final = 20
"""How many links and interpreters are followed before a program counts as broken."""


def installation_of(program: Path, path: str) -> tuple[Path, ...]:
    """What a program outside the system's folders needs to be bound, read only: files, folders and links.

    A link is itself among them, with what it leads to. A node package comes with the whole topmost
    `node_modules` that it lies in, a Python script with its environment and the installation that this was
    made from, each with its interpreter. What `python` and `python3` on the path need is always among them,
    and so is the installation of the running interpreter, which confined programs are started with. A
    whole home is never, nor its `.local` or `.config`, nor the folder around a program of no known kind.

    Args:
        program: the program, by absolute path.
        path: the `PATH` it is given, on which the interpreters of scripts are looked for.

    Returns:
        Absolute paths, each once, none within another of them.
    """
    search = _Search(path)
    search.add(program)
    for name in ("python", "python3"):
        if found := shutil.which(name, path=path):
            search.add(Path(found))
    search.add(Path(getattr(sys, "_base_executable", sys.executable)))
    return _outermost(search.found)


class _Search:
    def __init__(self, path: str) -> None:
        self.found: set[Path] = set()
        self._path = path
        self._seen: set[Path] = set()

    def add(self, program: Path, depth: int = 0) -> None:
        """Take in a program, what its links lead to, and what runs it."""
        program = Path(os.path.abspath(program))  # noqa: PTH100 - keeps links
        if program in self._seen or depth > _DEEPEST:
            return
        self._seen.add(program)
        link = _first_link(program)
        if link in (None, program):
            self._add_environment(program, depth)
        if link is not None:
            self.found.add(link)
            rest = program.relative_to(link)
            self.add(link.parent / link.readlink() / rest, depth + 1)
        elif program.is_file():
            self._add_target(program)
            if interpreter := self._interpreter(program):
                self.add(interpreter, depth + 1)

    def _add_environment(self, program: Path, depth: int) -> None:
        """A virtual environment is known by the path a program is called by, before any link is followed."""
        if (home := _venv_home(program.parent.parent)) is None:
            return
        self.found.add(program.parent.parent)
        for name in ("python3", "python"):
            if (home / name).exists():
                self.add(home / name, depth + 1)
                return

    def _add_target(self, target: Path) -> None:
        package = _topmost_node_modules(target)
        prefix = target.parent.parent
        self.found.add(target)
        if package is not None:
            self.found.add(package)
        elif target.parent.name == "bin" and not _too_wide(prefix) and _is_prefix(prefix):
            self.found.add(prefix)
        elif target.parent.name == "bin":
            # `pip install --user` puts a script's modules beside it.
            self.found.update(prefix.glob("lib/python3*"))

    def _interpreter(self, script: Path) -> Path | None:
        """What the first line of a script names, if it is one."""
        with script.open("rb") as file:
            first = file.readline(_FIRST_LINE)
        if not first.startswith(b"#!"):
            return None
        words = first[2:].decode(errors="replace").split()
        if words and Path(words[0]).name == "env":
            names = (word for word in words[1:] if not word.startswith("-") and "=" not in word)
            found = shutil.which(next(names, ""), path=self._path)
            return Path(found) if found else None
        return Path(words[0]) if words and words[0].startswith("/") else None


def _first_link(path: Path) -> Path | None:
    """The first of its folders that is a link, or the path itself if that is one."""
    return next((one for one in (*reversed(path.parents), path) if one.is_symlink()), None)


def _venv_home(prefix: Path) -> Path | None:
    """Where the interpreter of a virtual environment comes from; None if this is none."""
    try:
        lines = (prefix / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    pairs = (line.partition("=") for line in lines)
    return next((Path(value.strip()) for name, _, value in pairs if name.strip() == "home"), None)


def _topmost_node_modules(target: Path) -> Path | None:
    return next((one for one in reversed(target.parents) if one.name == "node_modules"), None)


def _is_prefix(prefix: Path) -> bool:
    """Whether a Python, a conda environment or a node lives in it, and so nothing but installed things."""
    marks = ("conda-meta", "include/node/node.h")
    return any((prefix / mark).exists() for mark in marks) or any(prefix.glob("lib/python3*/os.py"))


def _too_wide(folder: Path) -> bool:
    """Whether it is, or holds, a home, or is one of the folders of a home in which everything lies."""
    homes = {Path.home(), Path("/root"), *Path("/home").glob("*")}
    narrow = {home / name for home in homes for name in (".local", ".config", ".cache")}
    return folder in narrow or any(home.is_relative_to(folder) for home in homes)


def _outermost(found: set[Path]) -> tuple[Path, ...]:
    """Without the system's, what is too wide, and what lies within another; links stay for themselves."""
    kept: list[Path] = []
    for one in sorted(_wanted(found)):
        if not any(one.is_relative_to(other) for other in kept):
            kept.append(one)
    return tuple(kept)


def _wanted(found: set[Path]) -> Iterator[Path]:
    for one in found:
        inside = any(one.is_relative_to(folder) for folder in SYSTEM)
        if not inside and (one.is_symlink() or not _too_wide(one)):
            yield one
