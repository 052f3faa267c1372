"""A child process that can't outlive its parent."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from shiftwork.errors import StackError

# The child's standard input is the read end of a pipe, its lease: the parent alone holds the other end, so
# end-of-file means that the parent closed it or is gone. A watcher that is no child of the server (PostgreSQL
# takes the end of a child it doesn't know for a crash) waits for that and then ends the server and its group.
# The watcher belongs to the group itself, so the group's id, which is the server's pid, can't be given to
# another process while it waits.
_GUARD = """
signal=$1 grace=$2
shift 2
exec 3<&0 </dev/null
(
    (
        trap '' HUP INT TERM
        read -r _ <&3
        kill -s "$signal" $$
        while [ "$grace" -gt 0 ] && kill -0 $$; do
            sleep 0.1
            grace=$((grace - 1))
        done
        kill -s KILL -- -$$
    ) >/dev/null 2>&1 &
)
exec 3<&-
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, and how to end it.

    Attributes:
        name: for people and for the log file.
        argv: the program and its arguments.
        log: the file that takes its output; appended to.
        env: its whole environment; None means ours.
        cwd: the folder it starts in.
        stop_signal: what asks it to end.
        grace: seconds it gets to end by itself before it and its group are killed.
        orphan_grace: the same, when its parent is gone.
        umask: its file mode mask; -1 means ours.
    """

    name: str
    argv: Sequence[str]
    log: Path
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 10.0
    orphan_grace: float = 2.0
    umask: int = -1


class Child:
    """A running child process in a session of its own; made by `Child.start`."""

    def __init__(self, command: Command, process: asyncio.subprocess.Process, lease: int) -> None:
        self.command = command
        self.pid = process.pid
        self._process = process
        self._lease: int | None = lease

    @classmethod
    async def start(cls, command: Command) -> "Child":
        """Start the command.

        Raises:
            StackError: it can't be started.
        """
        log = os.open(command.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        read_end, lease = os.pipe()
        orphan_grace = str(int(command.orphan_grace * 10))
        guard = ["/bin/sh", "-c", _GUARD, "sh", command.stop_signal.name[3:], orphan_grace]
        try:
            process = await asyncio.create_subprocess_exec(
                *guard,
                *command.argv,
                stdin=read_end,
                stdout=log,
                stderr=log,
                cwd=command.cwd,
                env=command.env,
                umask=command.umask,
                start_new_session=True,
            )
        except OSError as error:
            os.close(lease)
            raise StackError(f"{command.name} can't be started: {error}.") from error
        finally:
            os.close(read_end)
            os.close(log)
        return cls(command, process, lease)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """Wait until it ends; returns its exit status, negative for a signal."""
        status = await self._process.wait()
        self._end_lease()
        return status

    async def stop(self) -> None:
        """End it and whatever it started: its stop signal, its grace, then KILL."""
        descendants = _descendants(self.pid)
        if self.running:
            with suppress(ProcessLookupError):
                self._process.send_signal(self.command.stop_signal)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), self.command.grace)
        descendants += [each for each in _descendants(self.pid) if each not in descendants]
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        for each in descendants:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        await self.wait()

    def _end_lease(self) -> None:
        if self._lease is not None:
            os.close(self._lease)
            self._lease = None


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
