"""Starting interpreters that wait for a job, each in a sandbox of its own."""

import asyncio
import os
import time
import uuid
from dataclasses import dataclass, replace
from typing import Final

from shiftwork.agents.command import ProseLines
from shiftwork.agents.python.outcome import Beginning, End
from shiftwork.agents.python.places import OwnFolder, Place, Places
from shiftwork.agents.python.program import BEGINNING, WAITING
from shiftwork.agents.python.telling import interpreter
from shiftwork.contracts.sandbox import Profile, SandboxOptions
from shiftwork.errors import InvalidInput
from shiftwork.gateway import GatewaySession
from shiftwork.runner.config import AgentConfig
from shiftwork.runner.environment import base_python, child_environment
from shiftwork.runner.failures import SpawnFailed, Timeout
from shiftwork.runner.handle import AgentHandle
from shiftwork.runner.launch import Plan
from shiftwork.runner.limits import Limits
from shiftwork.runner.measure import size_of
from shiftwork.runner.metrics import NoMetrics
from shiftwork.runner.process import Process, Program
from shiftwork.runner.shutdown import uninterrupted
from shiftwork.runner.starting import Starter
from shiftwork.sandbox.base import Sandbox
from shiftwork.sandbox.cell import Cell, make_cell
from shiftwork.sandbox.confinement import Bind, Network
from shiftwork.sandbox.levels import level_named
from shiftwork.sandbox.visible import installation_of
from shiftwork.text import one_line, truncate
from shiftwork.verification.shell import proxy_environment

_BUFFER: Final = 1_000_000
"""Bytes of output that may wait for us; then the agent waits."""

CONFIG: Final = AgentConfig("python", "python", "wait for a job")


@dataclass(frozen=True, slots=True)
class Kind:
    """What can't be changed of an interpreter once it is started.

    Attributes:
        limits: without those that are looked after from outside.
        sandbox: what it may touch.
        folder: where it starts; None: in its place.
    """

    limits: Limits
    sandbox: SandboxOptions
    folder: OwnFolder | None = None

    @classmethod
    def of(cls, limits: Limits, sandbox: SandboxOptions, folder: OwnFolder | None = None) -> "Kind":
        """The one that serves a job with these."""
        return cls(replace(limits, memory_mb=None, disk_mb=None), sandbox, folder)


class Interpreter:
    """One that was started for one job; what it prints is read from the start of that on."""

    def __init__(self, handle: AgentHandle, process: Process, place: Place) -> None:
        self.handle = handle
        self.process = process
        self.place = place
        self.began_at = 0.0
        self.stdout = Beginning(0)
        self.stderr = End(1)
        self._chunks = process.stdout.chunks()
        self._reading: list[asyncio.Task[None]] = []

    async def ready(self, patience: float) -> None:
        """Return once it waits.

        Raises:
            SpawnFailed: it ended, or took longer than so many seconds.
        """
        python = str(base_python())
        try:
            async with asyncio.timeout(patience):
                said = await anext(self._chunks, b"")
        except TimeoutError as error:
            raise SpawnFailed(
                f"The interpreter {python!r} of Python agents did not get ready in {patience:g} s.",
                hint="Try again on a machine that is less busy.",
            ) from error
        if said != WAITING:
            last = one_line((self.process.stderr.read() or b"").decode("utf-8", "replace"))
            raise SpawnFailed(
                f"The interpreter {python!r} of Python agents ends at once in its sandbox: "
                f"{truncate(last, 500) or 'it does not say why'}.",
                hint="`shiftwork doctor` tells of this machine's sandboxes.",
            )

    async def begin(self, job: bytes, keep: int, patience: float) -> bool:
        """Hand it its job; whether it begins with it. If not, nothing of the job was executed.

        Args:
            keep: bytes of each output stream that are kept.
            patience: seconds in which it has to begin.

        Raises:
            Timeout: it began only when it was given up, and was ended.
        """
        self.stdout, self.stderr = Beginning(keep), End(keep)
        begun = asyncio.get_running_loop().create_future()
        self.began_at = time.monotonic()
        try:
            self.process.stdin.put(job)
            self.process.stdin.finish()
        except BrokenPipeError:
            return False
        self._reading = [
            asyncio.create_task(self._read_stdout(begun)),
            asyncio.create_task(self._read_stderr()),
        ]
        await asyncio.wait({begun}, timeout=patience)
        if begun.done():
            return bool(begun.result())
        await self.handle.kill()
        await self.read_all()
        if begun.result():  # Between the two; it may have done something.
            raise Timeout(
                f"A Python agent was ended, because its interpreter took {patience:g} s to begin; try again "
                "on a machine that is less busy.",
                seconds=patience,
            )
        return False

    async def read_all(self) -> None:
        """Return once everything that it printed was read; its process has ended."""
        await asyncio.gather(*self._reading)
        self.stderr.total = self.process.stderr.total  # some may have been given up while we were busy

    async def _read_stdout(self, begun: "asyncio.Future[bool]") -> None:
        async for chunk in self._chunks:
            if begun.done():
                self.stdout.add(chunk)
            else:
                begun.set_result(chunk[:1] == BEGINNING)
                self.stdout.add(chunk[1:])
        if not begun.done():
            begun.set_result(False)

    async def _read_stderr(self) -> None:
        async for chunk in self.process.stderr.chunks():
            self.stderr.add(chunk)


class Nursery:
    """Starts interpreters, and knows those that live; what `AgentPool` takes for a runner.

    Args:
        sandbox: what holds and confines them.
        places: where they work.
        usual: the kind that `spawn` starts.
        patience: seconds in which one has to get ready.
    """

    def __init__(self, sandbox: Sandbox, places: Places, usual: Kind, patience: float) -> None:
        self._sandbox = sandbox
        self._places = places
        self._usual = usual
        self._patience = patience
        self._starter = Starter(sandbox)
        self._binds: list[Bind] | None = None
        self._living: dict[str, Interpreter] = {}
        self._clearing: set[asyncio.Task[None]] = set()

    async def spawn(self, config: AgentConfig) -> AgentHandle:
        """Start one of the usual kind; raises `AgentError` for whatever keeps it from being started."""
        try:
            return (await self.start(self._usual, config=config)).handle
        except InvalidInput as error:
            raise SpawnFailed(f"No interpreter was started for Python agents: {error}") from error

    def of(self, handle: AgentHandle) -> Interpreter:
        """The interpreter of a handle that `spawn` gave, and that has not ended."""
        return self._living[handle.id]

    async def start(
        self, kind: Kind, way_out: GatewaySession | None = None, *, config: AgentConfig = CONFIG
    ) -> Interpreter:
        """Start one, and wait until it is ready; if this fails or is cancelled, nothing of it is left.

        Raises:
            InvalidInput: it is to see what is not there.
            AgentError: it can't be started.
        """
        place = (await asyncio.to_thread(self._places.take)).working_in(kind.folder)
        try:
            disk_before = await asyncio.to_thread(_make, place)
            program = await self._program(kind, place, way_out, disk_before)
            planned = Plan(program, b"", ProseLines(), interrupt_first=False)
            agent_id = uuid.uuid4().hex
            process = await self._starter.start(config, agent_id, planned, lambda _: None)
        except BaseException as error:  # a cancellation, too
            self._clear_soon(place)
            if isinstance(error, OSError):
                raise SpawnFailed(f"No interpreter was started for Python agents: {error}") from error
            raise
        handle = AgentHandle(
            agent_id,
            config,
            process,
            reader=planned.reader,
            interrupt_first=False,
            metrics=NoMetrics(),
            look=lambda: None,
        )
        found = Interpreter(handle, process, place)
        process.ended.add_done_callback(lambda done: handle.over(done.result()))
        self._living[agent_id] = found
        try:
            await found.ready(self._patience)
        except BaseException:  # a cancellation, too
            await uninterrupted(self._end(found))
            raise
        process.ended.add_done_callback(lambda _: self._forget_if_jobless(found))
        return found

    async def end(self, one: Interpreter) -> None:
        """End all of it at once, whatever happens meanwhile; its place is given back soon."""
        await uninterrupted(self._end(one))

    async def close(self) -> None:
        """End all, also those under way."""
        starting = self._starter.take_back()
        await asyncio.gather(*(self._end(one) for one in list(self._living.values())))
        if starting:
            await asyncio.wait(starting)
        while self._clearing:
            await asyncio.gather(*self._clearing)
        await asyncio.to_thread(self._places.close)

    async def _end(self, one: Interpreter) -> None:
        await one.handle.kill()
        await one.read_all()
        self._forget(one)

    def _forget_if_jobless(self, one: Interpreter) -> None:
        """One that ended before it got a job is nobody's to end."""
        if not one.began_at:
            self._forget(one)

    def _forget(self, one: Interpreter) -> None:
        if self._living.pop(one.handle.id, None) is not None:
            self._clear_soon(one.place)

    def _clear_soon(self, place: Place) -> None:
        """Give a place back; an agent may have left so much there that it takes long."""
        task = asyncio.create_task(asyncio.to_thread(self._places.give_back, place))
        self._clearing.add(task)
        task.add_done_callback(self._clearing.discard)

    async def _program(
        self, kind: Kind, place: Place, way_out: GatewaySession | None, disk_before: int
    ) -> Program:
        env = await asyncio.to_thread(child_environment, os.environ, {})
        if self._binds is None:
            found = await asyncio.to_thread(installation_of, base_python(), env["PATH"])
            self._binds = [Bind(path, path) for path in found]
        cell = self._cell(kind, place, way_out)
        home = str(cell.seen(place.scratch))
        given = {"HOME": home, "TMPDIR": home, "SHIFTWORK_OUTBOX": str(cell.seen(place.outbox))}
        return Program(
            argv=interpreter("wait"),
            cwd=cell.seen(place.workspace),
            env={**env, **given, **proxy_environment(way_out)},
            limits=kind.limits,
            keep=_BUFFER,
            wait=True,
            confinement=cell.confinement,
            door=way_out.door_fd if way_out and self._sandbox.own_network else None,
            watched=False,
            disk_before=disk_before,
        )

    def _cell(self, kind: Kind, place: Place, way_out: GatewaySession | None) -> Cell:
        if "files" not in level_named(self._sandbox.level).confines:
            return Cell(None)  # It holds processes together, and can't do more.
        return make_cell(
            self._sandbox,
            kind.sandbox,
            [*(self._binds or ()), *place.binds()],
            network=Network.DOOR if way_out else Network.NONE,
            user=place.user,
            gateway_port=way_out.port if way_out and not self._sandbox.own_network else None,
        )


def _make(place: Place) -> int:
    """Make it; the bytes that it holds while nobody writes to it. Blocks."""
    place.make()
    return size_of(bind.source for bind in place.binds()).bytes


def reaches_hosts(sandbox: SandboxOptions) -> bool:
    """Whether there is anything to reach through the gateway."""
    return sandbox.profile is Profile.NETWORKED and bool(sandbox.hosts)
