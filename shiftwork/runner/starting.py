"""Starting the processes of a runner, and taking back those whose start is under way."""

import asyncio
import errno
import os
from collections.abc import Callable

from shiftwork.errors import InvalidInput, SandboxTooWeak
from shiftwork.runner.config import AgentConfig
from shiftwork.runner.failures import IoError, SpawnFailed
from shiftwork.runner.launch import Plan
from shiftwork.runner.metrics import log_event
from shiftwork.runner.process import Process
from shiftwork.runner.shutdown import uninterrupted
from shiftwork.sandbox.base import Sandbox
from shiftwork.sandbox.choose import choose_sandbox
from shiftwork.sandbox.levels import minimum_in


class Starter:
    """Starts processes. Invariant: each that it started is given out, under way, or has ended.

    Args:
        sandbox: what holds them; None: the strongest here, if it reaches `SHIFTWORK_SANDBOX_MINIMUM`.
    """

    def __init__(self, sandbox: Sandbox | None) -> None:
        self._sandbox = sandbox
        self._under_way: set[Process] = set()
        self._taken_back: set[Process] = set()

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._under_way)

    async def start(
        self, config: AgentConfig, agent_id: str, planned: Plan, on_stall: Callable[[str | None], None]
    ) -> Process:
        """A process that runs; if this is cancelled, it has ended.

        Raises:
            SpawnFailed: it can't be executed, or was taken back; or no sandbox reaches the minimum.
            IoError: the system has no pipe or process left.
        """
        process = self._begin(config, agent_id, planned, on_stall)
        self._under_way.add(process)
        process.ended.add_done_callback(lambda _: self._under_way.discard(process))
        try:
            started = await process.begin()
        except asyncio.CancelledError:
            process.kill()
            self._taken_back.discard(process)
            await uninterrupted(asyncio.wait({process.ended}))
            raise
        if process in self._taken_back:
            self._taken_back.discard(process)
            await asyncio.wait({process.ended})
            raise shut_down(config)
        if not started:
            said = (process.stderr.read() or b"").decode("utf-8", "replace").strip()
            raise _refused(config, planned, said or "the system refused it")
        self._under_way.discard(process)
        return process

    def take_back(self) -> "set[asyncio.Future[int]]":
        """Kill what is under way, so that its `start` fails; what is done when nothing of it is left."""
        for process in self._under_way:
            process.kill()
        self._taken_back |= self._under_way
        return {process.ended for process in self._under_way}

    def _begin(
        self, config: AgentConfig, agent_id: str, planned: Plan, on_stall: Callable[[str | None], None]
    ) -> Process:
        if self._sandbox is None:
            self._sandbox = _chosen(config)
        try:
            return Process(
                planned.program,
                sandbox=self._sandbox,
                marker=agent_id,
                on_first_output=lambda: log_event("ready", agent_id, config.name),
                on_stall=on_stall,
            )
        except ValueError as error:
            raise _refused(config, planned, f"it can't be given what it should: {error}") from error
        except OSError as error:
            if error.errno == errno.E2BIG:
                raise _refused(config, planned, os.strerror(errno.E2BIG)) from error
            raise IoError(
                f"Agent {config.name!r} was not started: {error.strerror}; run fewer agents at once.",
                errno=error.errno,
                agent=agent_id,
            ) from error


def _chosen(config: AgentConfig) -> Sandbox:
    try:
        return choose_sandbox(minimum_in(os.environ))
    except (InvalidInput, SandboxTooWeak) as error:
        sentence = f"Agent {config.name!r} was not started: {error}"
        raise SpawnFailed(sentence, hint="Or give ProcessRunnerConfig.sandbox.") from error


def shut_down(config: AgentConfig) -> SpawnFailed:
    """The error for an agent whose runner is shut down."""
    return SpawnFailed(
        f"Agent {config.name!r} was not started: its runner is shut down.", hint="Use another runner."
    )


def _refused(config: AgentConfig, planned: Plan, reason: str) -> SpawnFailed:
    hint = "Try the command by hand."
    if os.strerror(errno.E2BIG) in reason:
        hint = "Give it its prompt on standard input: no argument can be so long."
    return SpawnFailed(
        f"Agent {config.name!r} was not started: {reason}.", program=planned.program.argv[0], hint=hint
    )
