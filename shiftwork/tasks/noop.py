"""The provider `noop`: does nothing, and says so; to try things out."""

import asyncio

from shiftwork.contracts.task import TaskErrorKind
from shiftwork.tasks.processing import Assignment, Equipment, Processed


class NoopProcessor:
    """Completes every task; `parameters` may say otherwise: `seconds` to take, `fail` with a sentence."""

    name = "noop"
    outward = False

    def __init__(self, equipment: Equipment | None = None) -> None:
        """It needs no equipment."""

    async def process(self, assignment: Assignment) -> Processed:
        """Wait if that is asked for, and complete, or fail as asked."""
        seconds = assignment.parameters.get("seconds", 0)
        if isinstance(seconds, int | float) and seconds > 0:
            if seconds > assignment.timeout:
                await asyncio.sleep(assignment.timeout)
                why = f"It was ended after {assignment.timeout:g} s, because its time was over."
                return Processed(success=False, error=why, error_kind=TaskErrorKind.TIMEOUT)
            await asyncio.sleep(seconds)
        fail = assignment.parameters.get("fail")
        if fail:
            return Processed(success=False, error=str(fail))
        return Processed(success=True, result=assignment.task.instruction)
