"""The bridge: starts an ACP agent, has it do one prompt, and prints agent events, one a line as JSON.

    python -P -m shiftwork.agents.acp_bridge < request.json

It reads a `BridgeRequest`. Told to end (TERM, INT) it cancels the turn and, unless the agent finished all the
same, says no last word: whoever told it knows.
"""

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import PIPE, Process
from typing import Any

from acp import (
    PromptResponse,
    RequestError,
    connect_to_agent,
    text_block,
)
from acp.core import DEFAULT_STDIO_BUFFER_LIMIT_BYTES, ClientSideConnection

from shiftwork.agents.acp import BridgeRequest
from shiftwork.agents.acp_client import BridgeClient
from shiftwork.agents.acp_session import Failed, open_session, sentence
from shiftwork.agents.acp_updates import Updates
from shiftwork.agents.events import AgentEvent, AgentEventKind, Problem
from shiftwork.text import one_line, tail, truncate

_AUTHENTICATION_REQUIRED = -32000
"""The protocol's error code for an agent that nobody has logged in to."""

_CANCELLING = 3.0
"""Seconds an agent has to answer a cancellation; less than the time after which the harness kills."""

_ENDING = 1.0
"""Seconds an agent has to end once its input is closed, and again once it is told to end."""

_LAST_WORDS = 0.3
"""Seconds that what a dead agent said, or the signal that ended it, may take to reach us."""

_POLL = 0.05
"""Seconds between two looks whether the agent still lives."""

_FLUSH = 1.0
"""Seconds that prose is held back at most."""

_STDERR_BYTES = 4_000

_ENDS = {
    "max_tokens": ("The model's answer grew too long.", Problem.LIMIT),
    "max_turn_requests": ("The agent reached its limit of requests in one turn.", Problem.LIMIT),
    "refusal": ("The model declines the task.", Problem.REFUSED),
    "cancelled": ("The agent says that the turn was cancelled.", None),
}
"""What every stop reason but `end_turn` means."""


def main() -> int:
    """Do what the request on standard input asks for."""
    request = BridgeRequest.model_validate_json(sys.stdin.buffer.read())
    return asyncio.run(_Bridge(request).run())


def say(event: AgentEvent) -> None:
    """Print one event, at once."""
    sys.stdout.buffer.write(event.model_dump_json(exclude_defaults=True).encode() + b"\n")
    sys.stdout.buffer.flush()


class _Bridge:
    """One run of one agent."""

    def __init__(self, request: BridgeRequest) -> None:
        self._request = request
        self._updates = Updates(say, request.counted_cost_usd)
        self._stop = asyncio.Event()
        self._stderr = b""

    async def run(self) -> int:
        """Run the agent to the end of its turn; the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        try:
            last = await self._do()
        except Failed as failure:
            last = AgentEvent(
                kind=AgentEventKind.FINISHED, text=truncate(str(failure), 4_000), problem=failure.problem
            )
        if last is None:
            return 128 + signal.SIGTERM
        say(last)
        return 0

    async def _do(self) -> AgentEvent | None:
        process = await self._start()
        client = BridgeClient(self._request, self._updates)
        assert process.stdin is not None
        connection = connect_to_agent(client, process.stdin, process.stdout)
        helpers = [asyncio.create_task(self._keep_stderr(process)), asyncio.create_task(self._keep_telling())]
        try:
            return await self._take_turn(process, connection)
        finally:
            self._updates.flush()
            client.terminals.close()
            await _end(process)
            await connection.close()
            await _cancel(*helpers)

    async def _start(self) -> Process:
        argv = self._request.argv
        try:
            return await asyncio.create_subprocess_exec(
                *argv,
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                cwd=self._request.workspace,
                limit=DEFAULT_STDIO_BUFFER_LIMIT_BYTES,
            )
        except OSError as error:
            reason = f"The agent {argv[0]!r} can't be started ({error.strerror}): give its path in 'argv'."
            raise Failed(reason, Problem.INVALID) from error

    async def _take_turn(self, process: Process, connection: ClientSideConnection) -> AgentEvent | None:
        """The last event; None if the agent was cut off by whoever told us to end."""
        session: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        turn = asyncio.create_task(self._converse(connection, session))
        death = asyncio.create_task(_death(process))
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((turn, death, stop), return_when=asyncio.FIRST_COMPLETED)
            if death.done() and not turn.done():
                await asyncio.wait((turn,), timeout=_LAST_WORDS)
            if stop.done() and not turn.done():
                await self._cancel_turn(connection, session, turn)
            if not turn.done() or isinstance(turn.exception(), ConnectionError):
                await self._explain_death(process)
                return None
            return await turn
        finally:
            await _cancel(turn, death, stop)

    async def _cancel_turn(
        self, connection: ClientSideConnection, session: "asyncio.Future[str]", turn: "asyncio.Task[Any]"
    ) -> None:
        if session.done():
            with contextlib.suppress(ConnectionError):  # the same signal may have ended the agent
                await connection.cancel(session.result())
            await asyncio.wait((turn,), timeout=_CANCELLING)

    async def _explain_death(self, process: Process) -> None:
        """Raise `Failed` for an agent that is gone, or does not speak any more, unless we were to end it."""
        await asyncio.sleep(_LAST_WORDS)
        if self._stop.is_set():
            return
        status = process.returncode
        what = "closed its output" if status is None else f"ended with status {status}"
        said = tail(self._stderr, _STDERR_BYTES).strip()
        raise Failed(
            "\n".join(part for part in (f"The agent {what} before its turn was over.", said) if part)
        )

    async def _converse(
        self, connection: ClientSideConnection, session: "asyncio.Future[str]"
    ) -> AgentEvent | None:
        try:
            opened = await open_session(connection, self._request, self._updates, say)
            session.set_result(opened)
            answer = await connection.prompt(session_id=opened, prompt=[text_block(self._request.prompt)])
        except RequestError as error:
            refused = error.code == _AUTHENTICATION_REQUIRED
            raise Failed(sentence(error), Problem.AUTHENTICATION if refused else None) from error
        except ValueError as error:  # an answer that the protocol does not know; pydantic's are ValueErrors
            raise Failed(f"The agent does not keep to the protocol: {one_line(str(error))}") from error
        self._updates.flush()
        return self._last_event(answer)

    def _last_event(self, answer: PromptResponse) -> AgentEvent | None:
        if answer.usage is not None:
            self._updates.spent(answer.usage)
        if answer.stop_reason == "end_turn":
            return AgentEvent(kind=AgentEventKind.FINISHED, ok=True)
        if answer.stop_reason == "cancelled" and self._stop.is_set():
            return None
        text, problem = _ENDS[answer.stop_reason]
        return AgentEvent(kind=AgentEventKind.FINISHED, text=text, problem=problem)

    async def _keep_stderr(self, process: Process) -> None:
        """Pass the agent's error output on, and keep its end."""
        assert process.stderr is not None
        while data := await process.stderr.read(65_536):
            self._stderr = (self._stderr + data)[-_STDERR_BYTES:]
            sys.stderr.buffer.write(data)
            sys.stderr.buffer.flush()

    async def _keep_telling(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH)
            self._updates.flush()


async def _death(process: Process) -> None:
    """Return when the process has ended, also while something it left behind holds its output open."""
    while process.returncode is None:  # noqa: ASYNC110 - `Process.wait()` waits for its pipes too
        await asyncio.sleep(_POLL)


async def _end(process: Process) -> None:
    """End an agent: by closing its input, by TERM, by KILL."""
    assert process.stdin is not None
    process.stdin.close()
    for insist in (None, process.terminate, process.kill):
        if insist is not None:
            with contextlib.suppress(ProcessLookupError):
                insist()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(_death(process), _ENDING)
            return


async def _cancel(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    sys.exit(main())
