"""How long one snapshot may take, and looking at the clock while it is taken."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from shiftwork.errors import SnapshotRefused
from shiftwork.repository.names import shown

Tick = Callable[[], None]
"""Looks at the clock; whoever goes through what an agent made calls it after every bounded piece of work.
Raises when the time is over."""


def untimed() -> None:
    """A `Tick` of what may take as long as it takes."""


def refuse(path: str, why: str) -> NoReturn:
    """Raise `SnapshotRefused` for this path of a workspace."""
    raise SnapshotRefused(
        f"The work can't be committed: {shown(path)!r} {why}; remove it or ignore it in .gitignore.",
        [shown(path)],
    )


@dataclass(frozen=True, slots=True)
class Deadline:
    """The end of a snapshot's time.

    Attributes:
        seconds: how long it may take in all.
        at: when that is over, on the monotonic clock.
    """

    seconds: float
    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """The deadline this many seconds from now."""
        return cls(seconds, time.monotonic() + seconds)

    @property
    def passed(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self.at

    def tick(self) -> None:
        """Raise `SnapshotRefused` if the time is over."""
        if self.passed:
            raise SnapshotRefused(
                f"The work can't be committed: to store it takes more than {self.seconds:g} seconds; "
                "leave less or ignore some of it in .gitignore."
            )

    def reaching(self, path: str) -> None:
        """The same, when a path's turn comes."""
        if self.passed:
            refuse(path, f"was not reached within {self.seconds:g} seconds")

    def looking_at(self, path: str) -> Tick:
        """The same, while a path's content is looked at."""

        def tick() -> None:
            if self.passed:
                refuse(path, f"can't be looked through within {self.seconds:g} seconds")

        return tick
