"""What a tool is, apart from whoever offers it: a name, arguments, a result, and the work between them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from client.api import Shiftwork
from client.control import project_manager
from client.tools.results import Result
from shiftwork.contracts.project import ProjectOptions
from shiftwork.project_manager import ProjectManager

Report = Callable[[str], Awaitable[None]]
"""Is told, in one line for people, how far a tool that waits has come."""


async def unreported(line: str) -> None:
    """Nobody listens while the tool works."""
    del line


@dataclass(frozen=True, slots=True)
class Call:
    """What one call of a tool works with.

    Attributes:
        shiftwork: an open connection.
        options: what projects made by tools begin with; their agent and budget above all.
    """

    shiftwork: Shiftwork
    options: ProjectOptions
    report: Report = unreported

    @property
    def manager(self) -> ProjectManager:
        """A manager over the rows of the stack."""
        return project_manager(self.shiftwork)


@dataclass(frozen=True, slots=True)
class Offer:
    """What a model is told of a tool.

    Attributes:
        description: for the model that may call it.
        reads: whether it changes nothing.
        interrupts: whether it may undo or interrupt something.
        repeatable: whether calling it again with the same arguments changes nothing further.
    """

    name: str
    title: str
    description: str
    arguments: type[BaseModel]
    result: type[Result]
    reads: bool = field(default=False, kw_only=True)
    interrupts: bool = field(default=False, kw_only=True)
    repeatable: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Definition(Offer):
    """A tool that works on a stack.

    Attributes:
        work: takes a `Call` and an instance of `arguments`; raises `ShiftworkError` with one sentence.
    """

    work: Callable[[Call, Any], Awaitable[Result]]
