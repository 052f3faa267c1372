"""Scheduling registered agents from Python, by the names that programs know."""

import asyncio
import logging
from contextlib import suppress
from typing import Any

from client.api import Shiftwork
from client.executor import AgentExecutor
from client.schedules import ScheduleInfo
from client.tasks import NotRunnable
from client.wording import sentence
from shiftwork.errors import InvalidInput, NotFound
from shiftwork.settings import Settings

RECONCILE_SECONDS = 60.0

log = logging.getLogger("shiftwork.scheduler")


class AgentScheduler:
    """Schedules registered agents on the running stack; any number of them may run.

    The schedules themselves are the stack's: they live on when this is stopped, and when its process ends.

    Args:
        settings: which stack; None: as the environment says.
        interval: seconds after which the agents' configurations are looked at again.

    Raises:
        InvalidInput: the interval is none.
    """

    def __init__(self, settings: Settings | None = None, *, interval: float = RECONCILE_SECONDS) -> None:
        if isinstance(interval, bool) or not isinstance(interval, int | float) or not 0 < interval < 1e9:
            raise InvalidInput(f"interval is {interval!r}; it must be a number of seconds above 0.")
        self._settings = settings
        self._interval = interval
        self._shiftwork: Shiftwork | None = None
        self._reconciling: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Have every agent's schedule be as its configuration says, now and from now on."""
        async with self._starting:
            if self._reconciling is not None:
                return
            shiftwork = Shiftwork(self._settings)
            await shiftwork.__aenter__()
            try:
                await shiftwork.reconcile_schedules()
            except BaseException:  # a cancellation too: nothing of a start that failed stays open
                await shiftwork.__aexit__(None, None, None)
                raise
            self._shiftwork = shiftwork
            self._reconciling = asyncio.create_task(self._reconcile(shiftwork))

    async def stop(self) -> None:
        """Stop looking at configurations; the schedules live on."""
        async with self._starting:
            reconciling, self._reconciling = self._reconciling, None
            shiftwork, self._shiftwork = self._shiftwork, None
            if reconciling is not None:
                reconciling.cancel()
                with suppress(asyncio.CancelledError):
                    await reconciling
            if shiftwork is not None:
                await shiftwork.__aexit__(None, None, None)

    async def schedule_agent(
        self, agent_id: int, cron_expression: str, job_id: str | None = None
    ) -> ScheduleInfo:
        """Have the agent run by this schedule from now on; its configuration says so too, as a new version.

        Args:
            cron_expression: five fields, such as `0 9 * * 1-5`, or an interval such as `@every 90s`.
            job_id: the schedule's id; None: `agent_{agent_id}`. With other ids an agent has several.

        Raises:
            InvalidInput: an argument is none, or can't be what it should; nothing was changed.
            ValueError: there is no such agent.
            Conflict: the id is that of another agent's schedule.
        """
        shiftwork = await self._of(agent_id)
        return await shiftwork.set_schedule(agent_id, cron_expression, job_id)

    async def unschedule_agent(self, agent_id: int, job_id: str | None = None) -> None:
        """Have the agent run by no schedule any more; one that has none stays as it is.

        Args:
            job_id: only by this one no more; None: by none.

        Raises:
            ValueError: there is no such agent.
        """
        shiftwork = await self._of(agent_id)
        await shiftwork.unset_schedule(agent_id, job_id)

    async def execute_now(self, agent_id: int) -> dict[str, Any]:
        """Run the agent now, by its own limits, and wait for its end; see `AgentExecutor.execute_agent`."""
        shiftwork = await self._of(agent_id)
        config = (await shiftwork.agent(agent_id)).config
        executor = AgentExecutor(config.timeout, config.max_output_bytes, shiftwork=shiftwork)
        return await executor.execute_agent(agent_id)

    async def _of(self, agent_id: int) -> Shiftwork:
        """The open connection, for an agent that there is."""
        shiftwork = self._open()
        if isinstance(agent_id, bool) or not isinstance(agent_id, int):
            raise InvalidInput(f"agent_id is {agent_id!r:.80}; it must be the id of an agent, an integer.")
        try:
            await shiftwork.agent(agent_id)
        except NotFound as error:
            raise NotRunnable(str(error)) from error
        return shiftwork

    def _open(self) -> Shiftwork:
        if self._shiftwork is None:
            raise InvalidInput("This scheduler is not started; await its start() first.")
        return self._shiftwork

    async def _reconcile(self, shiftwork: Shiftwork) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await shiftwork.reconcile_schedules()
            except Exception as error:  # noqa: BLE001 - nobody awaits this task: it must not end unseen
                log.warning("schedules could not be looked at, and are again later: %s", sentence(error))


class _OfProcess:
    """The one scheduler of this process, for each event loop."""

    scheduler: AgentScheduler | None = None
    loop: asyncio.AbstractEventLoop | None = None


async def get_scheduler() -> AgentScheduler:
    """The scheduler of this process; start it before its first use."""
    loop = asyncio.get_running_loop()
    if _OfProcess.scheduler is None or _OfProcess.loop is not loop:
        _OfProcess.scheduler, _OfProcess.loop = AgentScheduler(), loop
    return _OfProcess.scheduler
