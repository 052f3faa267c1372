"""Making games of TextWorld: from a seed, as a file."""

import argparse
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, NoReturn

import textworld
from textworld.challenges import CHALLENGES
from textworld.generator import compile_game, make_game

from shiftwork.errors import InvalidInput

CUSTOM: Final = "custom"
"""The game whose size is given."""

_SIZES: Final = {"rooms": 5, "objects": 10, "quest_length": 5}
"""What is given of it, and what it is if it is not."""

_MOST: Final = 100


class GameMaker:
    """Makes games of one kind.

    Args:
        kind: `custom`, or one of TextWorld's challenges, such as `tw-simple`.
        settings: of a custom game `rooms`, `objects` and `quest_length`; of a challenge its own, as `tw-make`
            takes them.

    Raises:
        InvalidInput: there is no such kind, or not with these settings.
    """

    _one: ClassVar = threading.Lock()
    """TextWorld draws from generators of the whole process: two games at once would not be reproducible."""

    def __init__(self, kind: str, settings: Mapping[str, Any]) -> None:
        if kind != CUSTOM and kind not in CHALLENGES:
            known = ", ".join((CUSTOM, *sorted(CHALLENGES)))
            raise InvalidInput(f"TextWorld has no game {kind!r}; give the path of a file, or one of: {known}")
        self._kind = kind
        self._settings = _sizes(settings) if kind == CUSTOM else _challenge(kind, settings)

    def make(self, seed: int, folder: Path) -> Path:
        """Make a game, in a few seconds; the same seed makes the same."""
        options = textworld.GameOptions()
        options.seeds = seed
        options.path = str(folder / f"{seed}.z8")
        with self._one:
            if self._kind == CUSTOM:
                options.nb_rooms = self._settings["rooms"]
                options.nb_objects = self._settings["objects"]
                options.quest_length = self._settings["quest_length"]
                game = make_game(options)
            else:
                game = CHALLENGES[self._kind][1](self._settings, options)
            return Path(compile_game(game, options))


def _sizes(settings: Mapping[str, Any]) -> dict[str, int]:
    unknown = sorted(settings.keys() - _SIZES.keys())
    if unknown:
        raise InvalidInput(f"a custom game takes no {unknown[0]!r}; it takes: {', '.join(_SIZES)}")
    given = {**_SIZES, **settings}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST:
            raise InvalidInput(f"{name} of a custom game is {value!r}; give a number from 1 to {_MOST}")
    return given


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InvalidInput(f"TextWorld can't make {self.prog}: {message}")


def _challenge(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    parser = _Parser(prog=kind, add_help=False, allow_abbrev=False)
    CHALLENGES[kind][2](parser)
    words = []
    for name, value in settings.items():
        option = f"--{name.replace('_', '-')}"
        words += [option] if value is True else [] if value is False else [option, str(value)]
    return vars(parser.parse_args(words))
