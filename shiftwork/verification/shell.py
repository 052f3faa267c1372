"""Shell commands of a project, confined as the project says."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from shiftwork.agents.command import ProseLines
from shiftwork.contracts.sandbox import Profile, SandboxOptions
from shiftwork.errors import LeaseLost
from shiftwork.gateway import Gateway, GatewaySession, Policy
from shiftwork.gateway.denied import DeniedHosts, denied_line
from shiftwork.runner.config import AgentConfig
from shiftwork.runner.disk import held_before
from shiftwork.runner.environment import base_python, child_environment
from shiftwork.runner.launch import Plan
from shiftwork.runner.leftovers import RunLock
from shiftwork.runner.limits import Limits
from shiftwork.runner.process import Process, Program
from shiftwork.runner.shutdown import uninterrupted
from shiftwork.runner.spec import ProcessResult, ProcessSpec, StreamResult, without_secrets
from shiftwork.runner.starting import Starter
from shiftwork.runner.supervisor import run
from shiftwork.sandbox.base import Sandbox
from shiftwork.sandbox.cell import TMP, WORKSPACE, Cell, make_cell
from shiftwork.sandbox.confinement import Bind, Network
from shiftwork.sandbox.user import hand_over
from shiftwork.sandbox.visible import installation_of
from shiftwork.shells import shell_argv, unsteered

_GRACE = 1.0
"""Seconds from TERM to KILL when time is over: its checkout is thrown away, there is nothing to save."""

_LOCK = "steps.lock"
"""Lies beside the scratch folder: whoever finds a run after its worker was lost can end it."""

_WAITING_BYTES = 1_000_000
"""Of each output stream of a command that is talked to; then it waits."""

_TALKING = {"PYTHONUNBUFFERED": "1"}
"""Python holds back what it prints to a pipe; then nobody's answers would arrive."""

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


class Shell:
    """Runs the commands of one project.

    Args:
        sandbox: what holds their processes together.
        options: what they may touch.
        gateway: the way out to `hosts`.
        hosts: what they may reach, where the profile is not `open`; see `SandboxOptions.hosts`.
        user: who they run as; None: our own user.
        limits: what the processes of one command may use.
        redact: takes secrets out of what they print, before anybody cuts it.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        options: SandboxOptions | None = None,
        *,
        gateway: Gateway | None = None,
        hosts: tuple[str, ...] = (),
        user: int | None = None,
        limits: Limits | None = None,
        redact: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self._sandbox = sandbox
        self._options = options or SandboxOptions()
        self._gateway = gateway
        self._hosts = hosts
        self._user = user
        self._limits = limits or Limits()
        self._redact = redact

    async def run(
        self,
        command: str,
        *,
        cwd: Path,
        scratch: Path,
        timeout: float,
        env: Mapping[str, str] | None = None,
        look_for: str = "",
    ) -> ProcessResult:
        """Run a command by the shell of `shell_argv` in `cwd` with `scratch` as home and temporary folder.

        Args:
            timeout: in seconds.
            look_for: text whose presence in the output the result tells.

        Raises:
            LeaseLost: it was ended because we did not run for longer than its lease.
        """
        await self._ready(cwd, scratch)
        denied = DeniedHosts(self._hosts)
        async with self._way_out(denied) as way_out:
            cell = self._cell(cwd, scratch, way_out)
            spec = ProcessSpec(
                argv=shell_argv(command),
                cwd=cell.seen(cwd),
                env=_environment(cell, scratch, way_out, env),
                timeout=timeout,
                grace=_GRACE,
                look_for=look_for.encode(),
                lock_file=scratch.with_name(_LOCK),
                limits=self._limits,
                confinement=cell.confinement,
                door=way_out.door_fd if way_out and self._sandbox.own_network else None,
            )
            result = await run(spec, sandbox=self._sandbox)
        if result.lapsed:
            raise LeaseLost(
                f"A command was ended because this worker did not run for {spec.lease:g} s: "
                "that says nothing of the command, which is run again."
            )
        result = _with_note(result, denied)
        if self._redact is None:
            return result
        return await asyncio.to_thread(without_secrets, result, self._redact)

    @asynccontextmanager
    async def talk(self, command: str, *, cwd: Path, scratch: Path) -> AsyncIterator[Process]:
        """A shell command, as in `run`, that is talked to over its standard input and output.

        It waits while its standard output is not read, and ends when it breaches a limit; on leaving, nothing
        of it lives.

        Raises:
            AgentError: it can't be started.
            Conflict: another run still holds the lock beside the scratch folder.
        """
        await self._ready(cwd, scratch)
        marker = uuid.uuid4().hex
        async with self._way_out(DeniedHosts(self._hosts)) as way_out:
            cell = self._cell(cwd, scratch, way_out)
            program = Program(
                argv=shell_argv(command),
                cwd=cell.seen(cwd),
                env=_environment(cell, scratch, way_out, _TALKING),
                limits=self._limits,
                keep=_WAITING_BYTES,
                wait=True,
                confinement=cell.confinement,
                door=way_out.door_fd if way_out and self._sandbox.own_network else None,
                disk_before=await held_before(cell.confinement, self._limits),
            )
            lock = RunLock(scratch.with_name(_LOCK), marker)
            try:
                process = await _started(self._sandbox, program, marker)
                process.breach.add_done_callback(lambda _: process.kill())
                try:
                    yield process
                finally:
                    process.kill()
                    await uninterrupted(asyncio.wait({process.ended}))
                    if not process.left:
                        lock.clear()
            finally:
                lock.close()

    def redact(self, text: bytes) -> bytes:
        """What a command printed, without secrets; to be done before anybody cuts it."""
        return text if self._redact is None else self._redact(text)

    async def take_over(self, *folders: Path) -> None:
        """Give these folders to the user that commands run as, if that is another than ours."""
        if self._user is not None and self._confined:
            for folder in folders:
                await asyncio.to_thread(hand_over, folder, self._user)

    async def _ready(self, cwd: Path, scratch: Path) -> None:
        scratch.mkdir(parents=True, exist_ok=True)
        await self.take_over(cwd, scratch)

    @property
    def _confined(self) -> bool:
        return self._options.profile is not Profile.OPEN

    def _cell(self, cwd: Path, scratch: Path, way_out: GatewaySession | None) -> Cell:
        path = child_environment(os.environ, {})["PATH"]
        interpreters = [Bind(one, one) for one in installation_of(base_python(), path)]
        return make_cell(
            self._sandbox,
            self._options,
            [
                *interpreters,
                Bind(cwd.resolve(), WORKSPACE, writable=True),
                Bind(scratch.resolve(), TMP, writable=True),
            ],
            network=Network.DOOR if way_out else Network.NONE,
            user=self._user,
            gateway_port=way_out.port if way_out and not self._sandbox.own_network else None,
        )

    @asynccontextmanager
    async def _way_out(self, denied: DeniedHosts) -> AsyncIterator[GatewaySession | None]:
        if not (self._confined and self._hosts and self._gateway):
            yield None
            return
        policy = Policy(hosts=self._hosts, on_call=denied.note, label="command")
        async with self._gateway.open(policy, door=self._sandbox.own_network) as session:
            yield session


def _environment(
    cell: Cell, scratch: Path, way_out: GatewaySession | None, given: Mapping[str, str] | None
) -> dict[str, str]:
    home = str(cell.seen(scratch))
    folders = {"HOME": home, "TMPDIR": home}
    given = {**folders, **proxy_environment(way_out), **(given or {})}
    return unsteered(child_environment(os.environ, given))


async def _started(sandbox: Sandbox, program: Program, marker: str) -> Process:
    planned = Plan(program, b"", ProseLines(), interrupt_first=False)
    return await Starter(sandbox).start(
        AgentConfig("command", "command", "run a command"), marker, planned, lambda _: None
    )


def _with_note(result: ProcessResult, denied: DeniedHosts) -> ProcessResult:
    """The result, whose output ends with the hosts that were refused: programs seldom say why they failed."""
    lines = "".join(f"(the gateway: {denied_line(host, why)})\n" for host, why in denied.take())
    if not lines:
        return result
    if result.stdout_tail and not result.stderr_tail:
        return replace(result, stdout=_with_end(result.stdout, lines))
    return replace(result, stderr=_with_end(result.stderr, lines))


def _with_end(stream: StreamResult, lines: str) -> StreamResult:
    gap = b"" if stream.tail.endswith(b"\n") or not stream.tail else b"\n"
    return replace(stream, tail=stream.tail + gap + lines.encode())


def proxy_environment(way_out: GatewaySession | None) -> dict[str, str]:
    """What programs read to find a proxy; on their own loopback they need none."""
    if way_out is None:
        return {}
    here = "127.0.0.1,localhost"
    return dict.fromkeys(_PROXIES, way_out.proxy_url) | {"NO_PROXY": here, "no_proxy": here}
