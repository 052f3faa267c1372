"""The folders of one attempt, and where its agent sees them."""

from dataclasses import dataclass
from pathlib import Path

from shiftwork.sandbox.cell import BRIEF, HOME, OUTBOX, TMP, WORKSPACE
from shiftwork.sandbox.confinement import Bind
from shiftwork.sandbox.user import hand_over


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders of one attempt. Invariant: all exist, and none is a link."""

    workspace: Path
    run: Path
    home: Path

    @property
    def brief(self) -> Path:
        """What the agent is told."""
        return self.run / "brief"

    @property
    def outbox(self) -> Path:
        """What it leaves."""
        return self.run / "outbox"

    @property
    def scratch(self) -> Path:
        """Its temporary folder."""
        return self.run / "scratch"

    def make(self) -> None:
        """Make those that are not there yet."""
        for folder in (self.outbox, self.scratch):
            folder.mkdir(parents=True, exist_ok=True)
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)

    def binds(self) -> list[Bind]:
        """Where the agent sees them."""
        return [
            Bind(self.workspace.resolve(), WORKSPACE, writable=True),
            Bind(self.brief.resolve(), BRIEF),
            Bind(self.outbox.resolve(), OUTBOX, writable=True),
            Bind(self.home.resolve(), HOME, writable=True),
            Bind(self.scratch.resolve(), TMP, writable=True),
        ]

    def give_to(self, user: int) -> None:
        """Let the agent's user have them; blocks."""
        for folder in (self.workspace, self.brief, self.outbox, self.home, self.scratch):
            hand_over(folder, user)
