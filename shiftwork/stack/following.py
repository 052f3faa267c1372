"""Where the stack of a state folder runs by now, for whoever lives longer than it. Imports nothing heavy."""

import os
from dataclasses import replace

from shiftwork.settings import Settings
from shiftwork.stack.file import StackFile, require_stack


class RunningStack:
    """Looks at `stack.json` whenever it is asked, and reads it when it was written anew."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._mark: tuple[int, int, int] | None = None
        self._stack: StackFile | None = None

    def now(self) -> StackFile:
        """The stack that runs, or that ran when its file was read last.

        Raises:
            StackError: none does; says how to start one.
        """
        mark = self._written()
        if self._stack is None or mark is None or mark != self._mark:
            self._stack = None
            self._stack = require_stack(self._settings)
            self._mark = mark  # looked at first: what is written meanwhile is read the next time
        return self._stack

    def _written(self) -> tuple[int, int, int] | None:
        try:
            found = os.stat(self._settings.stack_file)  # noqa: PTH116 - a Path takes longer than the call
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def is_same(stack: StackFile | None, other: StackFile | None) -> bool:
    """Whether it was not started again meanwhile; its keys may have been rotated, which the codec sees."""
    return stack is other or (
        stack is not None
        and other is not None
        and replace(stack, codec_key_ids=()) == replace(other, codec_key_ids=())
    )
