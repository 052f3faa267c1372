"""One started program that can be talked to: read, write, signal, and wait until nothing is left."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shiftwork.runner.disk import watch_disk, writable_folders
from shiftwork.runner.feed import InputPipe
from shiftwork.runner.limits import LAST_WORDS, Limits
from shiftwork.runner.output import OutputStream
from shiftwork.runner.pipes import Pipes
from shiftwork.runner.tree import Seen, Watch, pids_of, shared_sampler, tree_of
from shiftwork.sandbox.base import LEASE, Ended, Launch, Sandbox
from shiftwork.sandbox.confinement import Confinement
from shiftwork.sandbox.sweep import kill_all

_AFTER_LEASE = 1.0
"""Seconds a sandbox has to end its processes, before they are killed from outside."""

_AFTER_KILL = 20.0
"""Seconds in which a sandbox whose processes were killed has to tell of their end."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to start, and what it may do.

    Attributes:
        argv: by absolute path.
        cwd: the absolute folder it starts in.
        env: its whole environment.
        limits: what it may use.
        stall_timeout: seconds without output and CPU time after which it counts as stalled, or None.
        keep: bytes kept of each output stream until they are read.
        wait: whether it waits while its standard output is not read.
        confinement: what it may touch; `cwd` is then a path as the program sees it. None: whatever we may.
        door: see `Launch.door`; it stays the caller's.
        watched: whether its limits are looked after from its start on, or only from `Process.watch` on.
        lease: see `Launch.lease`.
        disk_before: bytes that its folders hold before it starts, see `held_before`; more is its own.
    """

    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str] = field(repr=False)
    limits: Limits = field(default_factory=Limits)
    stall_timeout: float | None = None
    keep: int = 1_000_000
    wait: bool = False
    confinement: Confinement | None = None
    door: int | None = None
    watched: bool = True
    lease: float = LEASE
    disk_before: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """What the whole tree used so far: CPU seconds, and bytes of memory now and at the most that was seen."""

    cpu_seconds: float = 0.0
    memory: int = 0
    peak_memory: int = 0


class Process:
    """A program under way. It needs a running event loop, but no task before its end.

    Args:
        program: what to start.
        sandbox: what holds it.
        marker: 32 hexadecimal digits that no other run has.
        on_first_output: is called when something came from it for the first time, after `begin`.
        on_stall: see `Watch`; it is not ended by that.

    Attributes:
        ended: done when none of its processes lives; the exit status in the shell's convention.
        breach: done with a sentence when it breached a limit; it is not ended by that.
        left: why processes of it may still live although it counts as ended; '' if none does.
        lapsed: whether it was killed because we did not run for longer than its lease.

    Raises:
        OSError: it can't be started; nothing is left open then.
    """

    def __init__(
        self,
        program: Program,
        *,
        sandbox: Sandbox,
        marker: str,
        on_first_output: Callable[[], None],
        on_stall: Callable[[str | None], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[int] = loop.create_future()
        self.breach: asyncio.Future[str] = loop.create_future()
        self.left = ""
        self.lapsed = False
        self._program = program
        self._limits = program.limits
        self._marker = marker
        self._on_first_output: Callable[[], None] | None = on_first_output
        self._begun = False
        self._on_stall = on_stall
        self._usage = Usage()
        self._watch: Watch | None = None
        self._disk: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._sweeping: asyncio.Task[None] | None = None
        with Pipes(reads=True) as pipes:
            stdin, stdout, stderr = pipes.theirs
            launch = Launch(
                argv=tuple(program.argv),
                cwd=program.cwd,
                env=program.env,
                marker=marker,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                limits=program.limits,
                confinement=program.confinement,
                door=program.door,
                lease=program.lease,
            )
            self._held = sandbox.start(launch)
            pipes.started()
            into, *out = pipes.ours()
        assert into is not None, "asked for above"
        self.stdin = InputPipe(into)
        self.stdout, self.stderr = (
            OutputStream(file, limit=program.keep, wait=wait, tail=tail, on_data=self._heard)
            for file, wait, tail in zip(out, (program.wait, False), (0, LAST_WORDS), strict=True)
            if file is not None
        )
        self._held.ended.add_done_callback(self._over)

    @property
    def pid(self) -> int:
        """Of the process that leads its tree; 0 if it could not be started."""
        return self._held.pid or 0

    @property
    def lease(self) -> float:
        """Seconds that it may live while we do not run."""
        return self._program.lease

    @property
    def usage(self) -> Usage:
        """What was used as far as it was seen; all of it once the program has ended."""
        seen = self._watch
        return Usage(
            max(self._usage.cpu_seconds, seen.cpu_seconds if seen else 0.0),
            self._usage.memory,
            max(self._usage.peak_memory, seen.peak_memory if seen else 0),
        )

    async def begin(self) -> bool:
        """Wait for its start, and watch what it does, if anybody wants that; whether it could be started."""
        await asyncio.wait({self._held.started})
        if self._held.pid is None:
            await asyncio.wait({self.ended})
            return False
        self._begun = True
        if self.stdout.total or self.stderr.total:  # it spoke before we knew of its start
            asyncio.get_running_loop().call_soon(self._heard)
        if self._program.watched:
            self.watch()
        return True

    def watch(self, limits: Limits | None = None) -> None:
        """Look after its limits; once, after `begin`.

        Args:
            limits: others than it was started with, where they need nothing from its start on.
        """
        self._limits = limits or self._limits
        if self._held.pid is None or self._held.root is None or self._held.ended.done():
            return
        confinement, most = self._program.confinement, self._limits.disk_mb
        if confinement is not None and most is not None:
            folders, pids = writable_folders(confinement), pids_of(self._held)
            self._disk = asyncio.get_running_loop().create_task(
                watch_disk(folders, self._program.disk_before, most, self.breach, pids)
            )
        if self._limits.on_tree or self._program.stall_timeout is not None:
            self._watch = Watch(
                pid=self._held.pid,
                root=self._held.root,
                limits=self._limits,
                stall_timeout=self._program.stall_timeout,
                output=self._output,
                own_processes=self._held.own_processes,
                cpu_before=self._held.cpu_before,
                breach=self.breach,
                on_stall=self._on_stall,
            )
            shared_sampler().add(self._watch)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to every process of it; nothing happens if none is left."""
        if not self.ended.done():
            self._held.send(number)

    def kill(self) -> None:
        """End every process of it at once; `ended` says when that is done."""
        self._held.end()
        if self._timer is None and not self._held.ended.done():
            self._timer = asyncio.get_running_loop().call_later(_AFTER_LEASE, self.kill_from_outside)

    def kill_from_outside(self) -> None:
        """Kill every process of it although the sandbox does not answer."""
        if self._sweeping is None and not self.ended.done():
            self._sweeping = asyncio.get_running_loop().create_task(self._sweep())

    def look(self, processes: dict[int, Seen]) -> bool:
        """Take in what its tree uses at this moment; whether its first process is alive."""
        tree = tree_of(self.pid, self._held.root or 0, processes, self._held.cpu_before)
        cpu = sum(process.cpu + process.waited_for for process in tree)
        memory = sum(process.memory for process in tree)
        before = self._usage
        self._usage = Usage(max(before.cpu_seconds, cpu), memory, max(before.peak_memory, memory))
        return self.pid in processes and processes[self.pid].state != "Z"

    def breach_by_end(self, code: int) -> str | None:
        """The sentence on the limit that its end tells of, if any."""
        return self._limits.breach_by_end(code, self.stderr.tail, self.usage.cpu_seconds)

    def _heard(self) -> None:
        if self._begun and self._on_first_output is not None:
            first, self._on_first_output = self._on_first_output, None
            first()

    def _output(self) -> int | None:
        """Bytes that came, or None while it waits for us."""
        return None if self.stdout.full else self.stdout.total + self.stderr.total

    async def _sweep(self) -> None:
        try:
            if self._held.ended.done():
                await asyncio.to_thread(kill_all, self._marker)
            else:
                await self._held.end_from_outside()
                await asyncio.wait({self._held.ended}, timeout=_AFTER_KILL)
        except TimeoutError as error:
            self.left = str(error)
        self._finish()

    def _over(self, ended: "asyncio.Future[Ended]") -> None:
        if ended.cancelled():
            return
        if ended.exception() is not None or not ended.result().sound:
            self.kill_from_outside()
        elif self._sweeping is None:
            self._finish()

    def _finish(self) -> None:
        if self.ended.done():
            return
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            shared_sampler().remove(self._watch)
        if self._disk is not None:
            self._disk.cancel()
        self._held.close()
        self.stdin.close()
        self.stdout.drain()
        self.stderr.drain()
        held = self._held.ended
        known = held.done() and held.exception() is None
        if not held.done() and not self.left:
            self.left = "its sandbox did not tell of their end"
        end = held.result() if known else Ended(-signal.SIGKILL)
        self.lapsed = end.lapsed
        seen = self.usage
        self._usage = Usage(max(seen.cpu_seconds, end.cpu_seconds), 0, max(seen.peak_memory, end.peak_memory))
        self.ended.set_result(end.code if end.code >= 0 else 128 - end.code)


def working_folder(path: Path | str | None) -> Path:
    """The absolute path of the folder to run in; ours if none is given."""
    return Path(os.path.abspath(path)) if path is not None else Path.cwd()  # noqa: PTH100 - keeps links
