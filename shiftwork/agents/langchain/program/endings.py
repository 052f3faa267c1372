"""How a run ends before its task is done."""

from dataclasses import dataclass
from datetime import datetime

from shiftwork.agents.events import Problem


@dataclass
class Ending(Exception):  # noqa: N818 - not an error: it unwinds the loop
    """The run is over; `facts` are those of the terminal event."""

    sentence: str

    @property
    def kind(self) -> str:
        """The terminal event's kind."""
        return "finished"

    @property
    def facts(self) -> dict[str, object]:
        """The facts of the terminal event."""
        return {"ok": False, "text": self.sentence}


@dataclass
class Troubled(Ending):
    """Something of a known kind keeps the agent from its work; None: of no known kind."""

    problem: Problem | None = None

    @property
    def facts(self) -> dict[str, object]:
        """See `Ending.facts`."""
        problem = {"problem": self.problem.value} if self.problem else {}
        return {**super().facts, **problem}


@dataclass
class Limited(Ending):
    """The provider wants no more questions, until then if it said so."""

    until: datetime | None = None

    @property
    def kind(self) -> str:
        """See `Ending.kind`."""
        return "rate_limited"

    @property
    def facts(self) -> dict[str, object]:
        """See `Ending.facts`."""
        until = {"until": self.until.isoformat()} if self.until else {}
        return {"text": self.sentence, **until}
