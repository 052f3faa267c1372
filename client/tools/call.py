"""One call of a tool: what it works with. Imports all that any of them needs."""

from dataclasses import dataclass
from typing import Any

from client.api import Shiftwork
from client.control import project_manager
from client.temporal_errors import answering
from client.tools.definition import Report, Work, unreported
from client.tools.results import Result
from shiftwork.contracts.project import ProjectOptions
from shiftwork.project_manager import ProjectManager
from shiftwork.settings import Settings


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


async def carry_out(
    work: Work, asked: Any, *, settings: Settings | None, options: ProjectOptions, report: Report
) -> Result:
    """Do the work of a tool over a connection of its own; raises `ShiftworkError`, and whatever it raises."""
    with answering():
        async with Shiftwork(settings) as shiftwork:
            return await work(Call(shiftwork, options, report), asked)
