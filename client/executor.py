"""Running registered agents and waiting for what comes of it."""

from typing import Any

from client.api import Shiftwork
from client.task_inputs import check_limits
from client.tasks import NotRunnable
from shiftwork.contracts.task import TaskStatus
from shiftwork.errors import InvalidInput, NotFound
from shiftwork.settings import Settings
from shiftwork.store.task_rows import TaskRow

TIMEOUT = 300
MAX_OUTPUT_SIZE = 1024 * 1024


class AgentExecutor:
    """Runs registered agents, each run with a task of its own. It works bare, on the running stack.

    Args:
        timeout: seconds that one run may take; there is none without a limit.
        max_output_size: so many bytes of its standard output, and of its standard error, are kept.
        shiftwork: an open connection to use; None: one of its own for each call.
        settings: which stack; None: as the environment says.

    Raises:
        InvalidInput: a limit is none.
    """

    def __init__(
        self,
        timeout: float = TIMEOUT,
        max_output_size: int = MAX_OUTPUT_SIZE,
        *,
        shiftwork: Shiftwork | None = None,
        settings: Settings | None = None,
    ) -> None:
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= 7 * 86_400:
            raise InvalidInput(
                f"timeout is {timeout!r}; it must be a number of seconds above 0, up to 604800."
            )
        if isinstance(max_output_size, bool) or not isinstance(max_output_size, int) or max_output_size < 1:
            raise InvalidInput(f"max_output_size is {max_output_size!r}; it must be a number of bytes.")
        check_limits(timeout, max_output_size, output="max_output_size")
        self.timeout = timeout
        self.max_output_size = max_output_size
        self._shiftwork = shiftwork
        self._settings = settings

    async def execute_agent(self, agent_id: int, session: object = None) -> dict[str, Any]:  # noqa: ARG002
        """Run the agent now, and wait for its end.

        Args:
            session: accepted for callers that have one; the task has transactions of its own.

        Returns:
            `status` (`completed` or `failed`), `result` (what it printed), `error` (None, or one sentence),
            `duration` (seconds), `task_id`.

        Raises:
            ValueError: there is no such agent, or it has no code; no task was made.
            Conflict: it runs already; no task was made.
        """
        if self._shiftwork is not None:
            return await self._execute(self._shiftwork, agent_id)
        async with Shiftwork(self._settings) as shiftwork:
            return await self._execute(shiftwork, agent_id)

    async def _execute(self, shiftwork: Shiftwork, agent_id: int) -> dict[str, Any]:
        try:
            task = await shiftwork.run_agent(
                agent_id, timeout=self.timeout, max_output_bytes=self.max_output_size
            )
        except NotFound as error:
            raise NotRunnable(str(error)) from error
        return outcome(await shiftwork.wait_task(task.id, begun=True))


async def execute_agent_by_id(
    agent_id: int, session: object = None, timeout: float = TIMEOUT
) -> dict[str, Any]:
    """Run the agent now, and wait for its end; see `AgentExecutor.execute_agent`."""
    return await AgentExecutor(timeout).execute_agent(agent_id, session)


def outcome(task: TaskRow) -> dict[str, Any]:
    """How a task ended, as `execute_agent` says it."""
    return {
        "status": TaskStatus(task.status).value,
        "result": task.result,
        "error": task.error,
        "duration": task.duration,
        "task_id": task.id,
    }
