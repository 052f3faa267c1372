"""Runs that may outlast the activity that began them: kept in this process for whoever attends them."""

import asyncio
from enum import Enum, auto
from typing import Final, TypeVar

from activities.alive import attempt_over, is_pending, worker_stopping, workflow_runs
from activities.attempts import Lease, end
from activities.names import RUN_TASK
from shiftwork.contracts.task import TaskEnd
from shiftwork.errors import LeaseLost, StackError

Result = TypeVar("Result")

_LOOK: Final = 1.0
"""Seconds between two looks for whether a run that nobody attends is still wanted."""

_KEPT: Final = 60.0
"""Seconds for which the end of a run is kept for who attends it late."""


class Wish(Enum):
    """Why a run is to end."""

    CANCELLED = auto()
    STOPPING = auto()
    """This worker stops."""
    OVER = auto()
    """This attempt is over; another does the work."""


class RunHere:
    """A run in this process.

    Attributes:
        attempt: the whole attempt.
        attended: an activity has the heartbeats of it, and hears of cancellations.
    """

    attempt: "asyncio.Task[TaskEnd]"

    def __init__(self) -> None:
        self.attended = False
        self._told: asyncio.Future[Wish] = asyncio.get_running_loop().create_future()
        self._left = asyncio.Event()

    def tell(self, wish: Wish) -> None:
        """Have its work end, if that goes on; the first wish counts."""
        if not self._told.done():
            self._told.set_result(wish)

    @property
    def is_told(self) -> bool:
        """Whether it is to end."""
        return self._told.done()

    async def until_told(self, work: "asyncio.Future[Result]", lease: Lease) -> Result | None:
        """See `activities.attempts.until_told`: this is it for what no activity has to be there for."""
        looking = asyncio.create_task(self._look(lease))
        try:
            await asyncio.wait((work, self._told), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await end(work)
            raise
        finally:
            looking.cancel()
        if work.done():
            return work.result()
        left = await end(work)
        if self._told.result() is Wish.CANCELLED:
            return left
        await lease.give_back()
        raise worker_stopping() if self._told.result() is Wish.STOPPING else attempt_over()

    def leave(self) -> None:
        """The step of the workflow that waited for it does not any more."""
        self._left.set()

    async def _look(self, lease: Lease) -> None:
        """Have it end once nobody wants it, for as long as nobody attends it."""
        await self._left.wait()
        while not self.attended:
            await asyncio.sleep(_LOOK)
            if not self.attended and (wish := await _wish(lease)):
                self.tell(wish)
                return


async def _wish(lease: Lease) -> Wish | None:
    """What is wished of a run that nobody attends: the step of the workflow that began it may not count."""
    try:
        await lease.check()
    except LeaseLost:
        return Wish.OVER
    except StackError:
        return None
    if not await workflow_runs():
        return Wish.CANCELLED
    return Wish.OVER if await is_pending(RUN_TASK) else None


class RunsHere:
    """The runs of tasks that began in this process at the hand of their workflow."""

    def __init__(self) -> None:
        self._runs: dict[int, RunHere] = {}

    def add(self, task_id: int, run: RunHere) -> None:
        """Keep a run for as long as it goes on, and a little longer."""
        self._runs[task_id] = run
        loop = asyncio.get_running_loop()

        def over(attempt: "asyncio.Task[TaskEnd]") -> None:
            if not attempt.cancelled():
                attempt.exception()  # if nobody attends it, nobody else asks for that
            loop.call_later(_KEPT, self._end_keeping, task_id, run)

        run.attempt.add_done_callback(over)

    def forget(self, task_id: int) -> None:
        """Nobody will ask for this run any more."""
        self._runs.pop(task_id, None)

    async def wanted(self, task_id: int) -> RunHere | None:
        """The run of this task, if it is not to end; else it has ended, and there is none.

        Of many who ask, the first to be told that there is none begins one for all, if it does that at once.
        """
        while (run := self._runs.get(task_id)) is not None and run.is_told:
            await asyncio.wait((run.attempt,))
            self._end_keeping(task_id, run)
        return run

    async def end(self, task_id: int, wish: Wish) -> None:
        """End the run of this task, if it goes on here."""
        if run := self._runs.get(task_id):
            run.tell(wish)
            await asyncio.wait((run.attempt,))

    async def close(self) -> None:
        """Give back what goes on; the worker ends."""
        for run in self._runs.values():
            run.tell(Wish.STOPPING)
        await asyncio.gather(*(run.attempt for run in self._runs.values()), return_exceptions=True)
        self._runs.clear()

    def _end_keeping(self, task_id: int, run: RunHere) -> None:
        if self._runs.get(task_id) is run:
            del self._runs[task_id]
