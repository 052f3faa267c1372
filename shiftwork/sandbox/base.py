"""What every sandbox promises, so that the supervisor needs to know none of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

LEASE_FD = 3
"""The read end of the lease pipe in a wrapped process. A line on it (`TERM`, `STOP`, …) sends that signal to
every process inside; its end of file, which the death of its writer brings too, kills them all."""

LOCK_FD = 4
"""The locked file that a wrapped process keeps open until it ends, and hides from the agent."""

MARKER = "SHIFTWORK_SANDBOX"
"""The environment variable whose unique value marks every process of one sandbox."""


class Sandbox(Protocol):
    """How the processes of one agent are kept together, so that none of them outlives it.

    Attributes:
        level: the name under which a run records what held it.
    """

    @property
    def level(self) -> str: ...

    def wrap(self, argv: Sequence[str], *, cwd: Path) -> tuple[str, ...]:
        """The program that runs `argv` inside, started with `LEASE_FD`, `LOCK_FD` and `MARKER` in place.

        `argv[0]` is an absolute path. The wrapped program ends only when no process is left inside,
        with the status of `argv`, or 128 + n when signal n ended it. Ended by a signal itself, it kept no
        promise: then whatever bears its marker is to be swept.
        """
