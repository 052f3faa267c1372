"""The ladder of sandboxes: what each level confines, and the least that a worker accepts."""

import sys
from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from shiftwork.errors import InvalidInput

_EVERYTHING: Final = ("files", "network", "processes", "syscalls")
"""What a sandbox may confine, as people and `doctor --json` call it."""


MINIMUM_VARIABLE: Final = "SHIFTWORK_SANDBOX_MINIMUM"


class Level(IntEnum):
    """How far programs are confined, the stronger the greater; see `docs/sandbox.md` for each promise.

    `UNSHARE` and `NONE` confine no files, so that they are used only if they are asked for.
    """

    NONE = 0
    UNSHARE = 1
    SANDBOX_EXEC = 2
    LANDLOCK = 3
    BWRAP = 4

    @property
    def label(self) -> str:
        """The name in settings and to people."""
        return self.name.lower().replace("_", "-")

    @property
    def confines(self) -> tuple[str, ...]:
        """Which of files, network, processes and system calls it confines wholly."""
        return tuple(what for what in _EVERYTHING if what not in self.leaves)

    @property
    def leaves(self) -> MappingProxyType[str, str]:
        """What is not confined, or not wholly: one of the same names, and a sentence on what is left."""
        return MappingProxyType(_LEAVES[self])


_EVERY_FILE: Final = "It reads and writes what the worker's user can."
_EVERY_NETWORK: Final = "It reaches what this machine reaches."
_EVERY_CALL: Final = "System calls are not filtered."
_NO_TMP: Final = "There is no private /tmp: TMPDIR leads into the program's own home."

_LEAVES: Final[dict[Level, dict[str, str]]] = {
    Level.BWRAP: {},
    Level.LANDLOCK: {
        "network": "No UDP and no unix sockets; TCP to the gateway's port alone, but on any host.",
        "processes": "The arguments and states of other processes can be read.",
        "metadata": (
            "Names, sizes and dates of files can be looked up by path; modes and dates of what belongs to "
            "the program's user can be changed."
        ),
        "tmp": _NO_TMP,
    },
    Level.SANDBOX_EXEC: {
        "metadata": "Names, sizes and dates of files can be looked up by path.",
        "syscalls": "System calls are not filtered, and some services of macOS can be asked.",
        "tmp": _NO_TMP,
    },
    Level.UNSHARE: {"files": _EVERY_FILE, "network": _EVERY_NETWORK, "syscalls": _EVERY_CALL},
    Level.NONE: {
        "files": _EVERY_FILE,
        "network": _EVERY_NETWORK,
        "processes": "None of its processes outlives it, but it sees the others, and can signal its user's.",
        "syscalls": _EVERY_CALL,
    },
}

_BY_NAME: Final = {
    **{level.label: level for level in Level},
    "subreaper": Level.NONE,
    "process-group": Level.NONE,
}


def level_named(name: str) -> Level:
    """The level that a run recorded under this name; raises `InvalidInput` for any other."""
    if name not in _BY_NAME:
        raise InvalidInput(f"{name!r} is no level of a sandbox; the levels are {_listed()}.")
    return _BY_NAME[name]


def default_minimum(platform: str = sys.platform) -> Level:
    """The weakest level of a platform that confines files."""
    return Level.SANDBOX_EXEC if platform == "darwin" else Level.LANDLOCK


def parse_minimum(text: str, *, name: str = "The sandbox's minimum") -> Level:
    """The least level that is accepted, from what a person wrote; empty: the default.

    Args:
        text: a level's name.
        name: of the setting, for the error.

    Raises:
        InvalidInput: there is no such level.
    """
    wanted = text.strip().lower()
    if not wanted:
        return default_minimum()
    try:
        return Level[wanted.replace("-", "_").upper()]
    except KeyError:
        raise InvalidInput(f"{name} is {text!r}; it must be one of {_listed()}.") from None


def minimum_in(environment: Mapping[str, str]) -> Level | None:
    """The least level that is asked for in an environment; None: nobody asks. Raises `InvalidInput`."""
    text = environment.get(MINIMUM_VARIABLE, "").strip()
    return parse_minimum(text, name=MINIMUM_VARIABLE) if text else None


def _listed() -> str:
    return ", ".join(level.label for level in sorted(Level, reverse=True))
