"""What the agent's commands leave running, even in a session of its own: found, and ended."""

import os
import time
from contextlib import suppress
from typing import Final

from shiftwork.sandbox.keeper import be_subreaper, kill_tree
from shiftwork.sandbox.proc import LINUX, children

_PAUSE: Final = 0.005


class Strays:
    """Processes below this one. From when this is made, on Linux, those without a parent become its children.

    Elsewhere only those are found that this process has started itself.
    """

    def __init__(self) -> None:
        self._spared: set[int] = set()
        if LINUX:
            be_subreaper()

    def spare_present(self) -> None:
        """Leave alone what runs now, as the servers of tools."""
        self._spared = set(self._children())

    def end_all(self, seconds: float = 2.0) -> bool:
        """End all others, and wait for their end; False if some still live after this time."""
        deadline = time.monotonic() + seconds
        while living := self._living():
            if time.monotonic() > deadline:
                return False
            kill_tree(living)
            time.sleep(_PAUSE)
        return True

    def _living(self) -> list[int]:
        for pid in (found := self._children() - self._spared):
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        return sorted(found & self._children())

    def _children(self) -> set[int]:
        return set(children(os.getpid())) if LINUX else set()
