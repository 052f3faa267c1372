"""What runs already: a stack, and a worker."""

import asyncio
from dataclasses import dataclass

from activities.orphans import working_levels
from client.connection import has_pollers
from shiftwork.errors import ShiftworkError
from shiftwork.settings import Settings
from shiftwork.stack.file import read_stack, temporal_is_external
from shiftwork.temporal import connect


@dataclass(frozen=True, slots=True)
class Running:
    """What runs, as far as can be seen from here.

    Attributes:
        stack: where a running stack's Web UI is, or that one runs; None if none does.
        worker: whether a worker lives on this machine, or asked for work in the last minutes; None where
            nobody can say.
        levels: the sandboxes of this state folder's workers on this machine; '' of one that is starting.
        problems: one sentence each.
    """

    stack: str | None = None
    worker: bool | None = None
    levels: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def worker_line(self) -> str | None:
        """Of the worker, for people; None if there is nothing that it could work for."""
        ready = [level for level in self.levels if level]
        if len(ready) > 1:
            return f"{len(ready)} run, in the sandboxes {', '.join(ready)}"
        if self.levels:
            return f"runs, in the sandbox {ready[0]}" if ready else "is starting"
        if self.worker:
            return "one asked for work in the last minutes; its log names its sandbox"
        if self.worker is None:
            return None
        return "none is running: start one with `shiftwork worker`"


def look_at_running(settings: Settings) -> Running:
    """See `Running`; starts nothing."""
    try:
        stack = read_stack(settings)
    except ShiftworkError as error:
        return Running(problems=(str(error),))
    levels = tuple(working_levels(settings.state))
    told = (stack.ui_address or "running") if stack else None
    if stack is None and not temporal_is_external():
        return Running(levels=levels, worker=bool(levels) or None)
    try:
        return Running(told, bool(levels) or asyncio.run(_polled(settings)), levels)
    except ShiftworkError as error:
        return Running(told, bool(levels) or None, levels, (str(error),))


async def _polled(settings: Settings) -> bool:
    return await has_pollers(await connect(settings))
