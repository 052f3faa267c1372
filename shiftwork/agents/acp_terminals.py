"""Terminals that an ACP agent asks its client for: commands run in the workspace, with bounded output."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from acp import RequestError

from shiftwork.shells import shell_argv, unsteered

_OUTPUT_BYTES = 1_000_000
"""How much of the end of a command's output is kept, if the agent asks for no less."""

_POLL = 0.05
"""Seconds between two looks whether a command has ended: nothing that holds its output open delays that."""


@dataclass(slots=True)
class Terminal:
    """One command; `output` is the end of what it printed, `truncated` whether there was more."""

    process: subprocess.Popen[bytes]
    limit: int
    output: bytearray = field(default_factory=bytearray)
    truncated: bool = False

    def status(self) -> tuple[int | None, str | None] | None:
        """Its exit status or the name of the signal that ended it; None while it runs."""
        code = self.process.poll()
        if code is None:
            return None
        return (code, None) if code >= 0 else (None, signal.Signals(-code).name)

    def text(self) -> str:
        """Its output so far; a character cut in the middle is dropped."""
        return self.output.decode("utf-8", "ignore")

    def kill(self) -> None:
        """End it and what stayed in its process group."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def receive(self, stdout: int) -> None:
        """Take what it printed since the last time."""
        try:
            data = os.read(stdout, 65_536)
        except BlockingIOError:
            return
        if not data:
            asyncio.get_running_loop().remove_reader(stdout)
        self.output += data
        if len(self.output) > self.limit:
            self.truncated = True
            del self.output[: len(self.output) - self.limit]


class Terminals:
    """The terminals of one session, by the ids that the agent is given."""

    def __init__(self) -> None:
        self._open: dict[str, Terminal] = {}
        self._count = 0

    def create(
        self,
        command: str,
        arguments: Sequence[str],
        *,
        cwd: str,
        environment: Mapping[str, str],
        limit: int | None,
    ) -> str:
        """Start a command and return its terminal's id; without arguments it is a line for the shell.

        Raises:
            RequestError: it can't be started.
        """
        argv = (command, *arguments) if arguments else shell_argv(command)
        given = {**os.environ, **environment}
        try:
            process = subprocess.Popen(
                argv,
                cwd=cwd,
                env=given if arguments else unsteered(given),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise RequestError.invalid_params(
                {"details": f"{command!r} can't be started: {error}"}
            ) from error
        assert process.stdout is not None
        stdout = process.stdout.fileno()
        os.set_blocking(stdout, False)
        terminal = Terminal(process, _OUTPUT_BYTES if limit is None else min(limit, _OUTPUT_BYTES))
        asyncio.get_running_loop().add_reader(stdout, terminal.receive, stdout)
        self._count += 1
        identity = f"terminal-{self._count}"
        self._open[identity] = terminal
        return identity

    def get(self, identity: str) -> Terminal:
        """The terminal of that id; raises `RequestError` if it was never there, or was released."""
        if identity not in self._open:
            raise RequestError.resource_not_found(identity)
        return self._open[identity]

    async def wait(self, identity: str) -> tuple[int | None, str | None]:
        """Wait for the end of its command; see `Terminal.status`."""
        terminal = self.get(identity)
        while (status := terminal.status()) is None:  # noqa: ASYNC110 - nothing tells us
            await asyncio.sleep(_POLL)
        return status

    def release(self, identity: str) -> None:
        """End its command, if it still runs, and forget it."""
        terminal = self.get(identity)
        del self._open[identity]
        terminal.kill()
        terminal.process.wait()
        assert terminal.process.stdout is not None
        asyncio.get_running_loop().remove_reader(terminal.process.stdout.fileno())
        terminal.process.stdout.close()

    def close(self) -> None:
        """Release all."""
        for identity in list(self._open):
            self.release(identity)
