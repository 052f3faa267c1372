"""The environment of agents and verification steps: what is listed, what is given, and the base Python."""

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from shiftwork.errors import InvalidInput

_PASSED_ON = frozenset(
    {"PATH", "LANG", "LANGUAGE", "TZ", "TERM", "HOME", "TMPDIR", "USER", "LOGNAME", "SHELL"}
)
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"
_NAMES = ("python", "python3")


def child_environment(
    base: Mapping[str, str], given: Mapping[str, str], *, tools: Path | None = None
) -> dict[str, str]:
    """The environment of a process: a short allow-list of `base`, then `given`.

    First on its `PATH`, `python` and `python3` are the base interpreter, not Shiftwork's own environment.

    Args:
        base: usually `os.environ`.
        given: what is added, or replaces something.
        tools: a folder of ours for links to the interpreter, made if need be; without it the interpreter's
            own folder serves if it has both names, else a private folder among the temporary ones.
    """
    env = {name: value for name, value in base.items() if name in _PASSED_ON or name.startswith("LC_")}
    own = _own_folders(base)
    rest = [entry for entry in env.get("PATH", _DEFAULT_PATH).split(os.pathsep) if entry and entry not in own]
    env["PATH"] = os.pathsep.join([str(_python_folder(tools)), *rest])
    return env | dict(given)


def base_python() -> Path:
    """The interpreter that Shiftwork's environment was made from, or the running one if it has none."""
    folder = Path(sys.base_exec_prefix) / "bin"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for name in (f"python{version}", "python3", "python"):
        if os.access(folder / name, os.X_OK):
            return folder / name
    return Path(sys.executable)


def link_python(folder: Path) -> Path:
    """Have `folder` hold the links `python` and `python3`; safe to repeat at any time. Returns it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = base_python()
    for name in _NAMES:
        link = folder / name
        if link.is_symlink() and link.readlink() == target:
            continue
        fresh = folder / f".{name}.{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.replace(link)
    return folder


def _python_folder(tools: Path | None) -> Path:
    if tools is not None:
        return link_python(tools)
    folder = base_python().parent
    if all(os.access(folder / name, os.X_OK) for name in _NAMES):
        return folder
    private = Path(tempfile.gettempdir()) / f"shiftwork-python-{os.getuid()}"
    link_python(private)
    found = private.lstat()
    if private.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise InvalidInput(f"The folder {str(private)!r} can be written by others; remove it.")
    return private


def _own_folders(base: Mapping[str, str]) -> set[str]:
    own = set()
    if sys.prefix != sys.base_prefix:
        own.add(str(Path(sys.prefix) / "bin"))
    if virtual := base.get("VIRTUAL_ENV"):
        own.add(str(Path(virtual) / "bin"))
    return own
