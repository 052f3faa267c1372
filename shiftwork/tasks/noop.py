"""The provider `noop`: does nothing, and says so; to try things out."""

import asyncio

from shiftwork.contracts.task import TaskErrorKind
from shiftwork.tasks.processing import Assignment, Equipment, Processed

_PARTS = 10
_SHORTEST = 0.5
"""Seconds of a part: more often nobody needs to be told how far it is."""


class NoopProcessor:
    """Completes every task; `parameters` may say otherwise: `seconds` to take, `fail` with a sentence."""

    name = "noop"
    outward = False

    def __init__(self, equipment: Equipment | None = None) -> None:
        """It needs no equipment."""

    async def process(self, assignment: Assignment) -> Processed:
        """Wait if that is asked for, telling the progress, and complete, or fail as asked."""
        seconds = assignment.parameters.get("seconds", 0)
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or seconds < 0:
            why = f"The parameter 'seconds' is {seconds!r:.80}; it must be a number, 0 or more."
            return Processed(success=False, error=why, error_kind=TaskErrorKind.INVALID)
        if seconds > assignment.timeout:
            await asyncio.sleep(assignment.timeout)
            why = f"It was ended after {assignment.timeout:g} s, because its time was over."
            return Processed(success=False, error=why, error_kind=TaskErrorKind.TIMEOUT)
        if seconds:
            await _wait(assignment, seconds)
        fail = assignment.parameters.get("fail")
        if fail:
            return Processed(success=False, error=str(fail))
        return Processed(success=True, result=assignment.task.instruction)


async def _wait(assignment: Assignment, seconds: float) -> None:
    parts = max(1, min(_PARTS, int(seconds / _SHORTEST)))
    for part in range(1, parts + 1):
        await asyncio.sleep(seconds / parts)
        await assignment.tell({"progress": part / parts})
