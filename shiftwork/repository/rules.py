"""The `.gitignore` files that hold in a folder: those of the base and those an agent left there."""

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shiftwork.repository import ignore
from shiftwork.repository.deadline import Tick
from shiftwork.repository.files import read_regular
from shiftwork.repository.ignore import IgnoreFile, chain_verdict

NAME = ".gitignore"
_BUILT_IN = IgnoreFile.parse(ignore.BUILT_IN.encode())
_Chain = tuple[tuple[int, IgnoreFile], ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds in one folder: of the base's files and the agent's own, outermost first."""

    base: _Chain = ()
    own: _Chain = ()


class RuleBook:
    """Reads the rules of one walk; equal files are read into rules once.

    Args:
        base: the content of the base's files, by path.
        tick: looks at the clock.
        note: takes a path and what is to be said of it.
    """

    def __init__(self, base: Mapping[str, bytes], tick: Tick, note: Callable[[str, str], None]) -> None:
        self._base = base
        self._tick = tick
        self._note = note
        self._parsed: dict[bytes, IgnoreFile] = {}
        self._room = ignore.MAX_TOTAL

    def of_base(self, parts: tuple[str, ...], rules: Rules) -> Rules:
        """These rules and what the base says in a folder."""
        data = self._base.get("/".join((*parts, NAME)))
        return rules if data is None else Rules((*rules.base, (len(parts), self._parse(data))), rules.own)

    def of_agent(self, folder: int, parts: tuple[str, ...], rules: Rules) -> Rules:
        """These rules and what the file in the folder of this descriptor says; it must have one."""
        data = None
        if stat.S_ISREG(os.stat(NAME, dir_fd=folder, follow_symlinks=False).st_mode):
            data = read_regular(NAME, folder, ignore.MAX_BYTES)
        if data is None or len(data) > ignore.MAX_BYTES:
            self._note("/".join((*parts, NAME)), "is not a regular file of a usual size: not followed")
            return rules
        if data not in self._parsed:
            if len(data) > self._room:
                most = f"{ignore.MAX_TOTAL:,} bytes of such files"
                self._note("/".join((*parts, NAME)), f"comes after {most}: not followed")
                return rules
            self._room -= len(data)
        return Rules(rules.base, (*rules.own, (len(parts), self._parse(data))))

    def ignored(self, parts: tuple[str, ...], rules: Rules, *, folder: bool) -> bool:
        """Whether the path is ignored; the agent's own files can ignore more than the base's, never less."""
        if chain_verdict(rules.base, parts, folder=folder, tick=self._tick):
            return True
        verdict = chain_verdict(rules.own, parts, folder=folder, tick=self._tick)
        return bool(_BUILT_IN.verdict(parts, folder=folder)) if verdict is None else verdict

    def _parse(self, data: bytes) -> IgnoreFile:
        if data not in self._parsed:
            self._tick()
            self._parsed[data] = IgnoreFile.parse(data)
        return self._parsed[data]
