"""Scheduling registered agents from Python, by the names that programs know."""

import asyncio
import logging
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from client.agents import definition_of
from client.api import Shiftwork
from client.executor import AgentExecutor, NotRunnable
from client.schedules import ScheduleInfo, schedule_id
from client.wording import first_problem
from shiftwork.contracts.agent import AgentConfiguration
from shiftwork.errors import InvalidInput, NotFound, ShiftworkError
from shiftwork.settings import Settings
from shiftwork.store.agents import AgentRow

RECONCILE_SECONDS = 60.0

log = logging.getLogger("shiftwork.scheduler")


class AgentScheduler:
    """Schedules registered agents on the running stack; any number of them may run.

    The schedules themselves are the stack's: they live on when this is stopped, and when its process ends.

    Args:
        settings: which stack; None: as the environment says.
        interval: seconds after which the agents' configurations are looked at again.
    """

    def __init__(self, settings: Settings | None = None, *, interval: float = RECONCILE_SECONDS) -> None:
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
            InvalidInput: the expression is none, or the id can't be one; nothing was changed.
            ValueError: there is no such agent.
            Conflict: the id is that of another agent's schedule.
        """
        agent = await _agent(self._open(), agent_id)
        config = {**agent.config.model_dump(), "enabled": True}
        if job_id in (None, schedule_id(agent_id)):
            config["schedule"] = cron_expression
        else:
            config["schedules"] = {**agent.config.schedules, str(job_id): cron_expression}
        await self._configure(agent, config)
        return await self._open().schedule(agent.id, job_id)

    async def unschedule_agent(self, agent_id: int, job_id: str | None = None) -> None:
        """Have the agent run by no schedule any more; one that has none stays as it is.

        Args:
            job_id: only by this one no more; None: by none.

        Raises:
            ValueError: there is no such agent.
        """
        agent = await _agent(self._open(), agent_id)
        now = agent.config.model_dump()
        if job_id in (None, schedule_id(agent_id)):
            now["schedule"] = None
        now["schedules"] = (
            {} if job_id is None else {k: v for k, v in now["schedules"].items() if k != job_id}
        )
        await self._configure(agent, now)

    async def _configure(self, agent: AgentRow, config: dict[str, Any]) -> None:
        try:
            checked = AgentConfiguration.model_validate(config)
        except ValidationError as error:
            raise InvalidInput(f"{first_problem(error, AgentConfiguration)}.") from error
        await self._open().change_agent(agent.id, definition_of(agent, config=checked))

    async def execute_now(self, agent_id: int) -> dict[str, Any]:
        """Run the agent now, and wait for its end; see `AgentExecutor.execute_agent`."""
        shiftwork = self._open()
        agent = await _agent(shiftwork, agent_id)
        return await AgentExecutor(agent.config.timeout, shiftwork=shiftwork).execute_agent(agent_id)

    def _open(self) -> Shiftwork:
        if self._shiftwork is None:
            raise InvalidInput("This scheduler is not started; await its start() first.")
        return self._shiftwork

    async def _reconcile(self, shiftwork: Shiftwork) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await shiftwork.reconcile_schedules()
            except ShiftworkError as error:
                log.warning("schedules could not be looked at, and are again later: %s", error)


async def _agent(shiftwork: Shiftwork, agent_id: int) -> AgentRow:
    try:
        return await shiftwork.agent(agent_id)
    except NotFound as error:
        raise NotRunnable(str(error)) from error


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
