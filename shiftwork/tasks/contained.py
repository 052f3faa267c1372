"""A processor whose mistakes are its task's alone, and never its worker's."""

import asyncio

from shiftwork.contracts.task import TaskErrorKind
from shiftwork.errors import ShiftworkError
from shiftwork.tasks.processing import Assignment, Processed, Processor
from shiftwork.text import one_line


class ContainedProcessor:
    """Another's processor: whatever it raises, and however long it takes, its task ends.

    Args:
        processor: what does the work.
    """

    def __init__(self, processor: Processor) -> None:
        self.name = processor.name
        self.outward = processor.outward
        self._processor = processor

    async def process(self, assignment: Assignment) -> Processed:
        """Process it within its time; an error that is none of ours is a failure of the task."""
        try:
            async with asyncio.timeout(assignment.timeout) as limit:
                processed: object = await self._processor.process(assignment)
        except ShiftworkError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a plug-in does wrong fails its task alone
            if limit.expired():
                why = f"It was ended after {assignment.timeout:g} s, because its time was over."
                return Processed(success=False, error=why, error_kind=TaskErrorKind.TIMEOUT)
            return self._failed(f"{type(error).__name__}: {error}")
        if not isinstance(processed, Processed):
            return self._failed(f"it gave {type(processed).__name__} instead of Processed")
        return processed

    def _failed(self, why: str) -> Processed:
        error = f"The processor of {self.name!r} failed: {one_line(why)}."
        return Processed(success=False, error=error, error_kind=TaskErrorKind.FAILED)
