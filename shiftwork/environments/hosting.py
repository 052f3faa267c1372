"""Playing an episode in an environment with a process of its own; see `shiftwork.environments.host`."""

import asyncio
import logging
import os
import signal
import sys
import uuid
from asyncio import FIRST_COMPLETED
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import psutil
from pydantic import ValidationError

from shiftwork.agents.command import ProseLines
from shiftwork.environments.host import MOST_LINE, Begun, Chosen, Failed, Kept, Order, Over, Taken, Told, Turn
from shiftwork.environments.lasting import (
    MOST_LOST,
    LastingPlay,
    Listener,
    OnBegin,
    OnStats,
    OnStep,
    OnTurn,
)
from shiftwork.environments.protocol import Observation
from shiftwork.environments.redacting import Redacts, redacted_observation, redacted_step
from shiftwork.environments.trajectory import Step
from shiftwork.errors import ShiftworkError
from shiftwork.runner.config import AgentConfig
from shiftwork.runner.environment import child_environment
from shiftwork.runner.launch import Plan
from shiftwork.runner.limits import Limits
from shiftwork.runner.process import Process, Program
from shiftwork.runner.shutdown import uninterrupted
from shiftwork.runner.starting import Starter
from shiftwork.sandbox.base import Sandbox
from shiftwork.text import one_line, truncate

MEMORY_MB: Final = 4_000.0
"""Millions of bytes that an environment may use where nothing else is said, on a machine that has more."""

_MOST_OF_MACHINE: Final = 0.8

_CONFIG: Final = AgentConfig("environment", "environment", "host an environment")

_TO_END: Final = 20.0
"""Seconds in which a process is expected to be gone that has closed its output, or reads no more: it takes
milliseconds, unless the machine stands still."""

log = logging.getLogger("shiftwork.episodes")


class PlayFailed(ShiftworkError):  # noqa: N818 - it names what happened
    """An episode could not be played to its end.

    Attributes:
        why: what is to blame: an environment that is `missing` here, or can't be loaded; `invalid`
            parameters; the `environment`; or the `player`.
    """

    def __init__(self, message: str, why: str) -> None:
        super().__init__(message)
        self.why = why


class _ReadsNoMore(Exception):  # noqa: N818 - it names what happened
    """An environment's process, which has died."""


class _Lost(Exception):  # noqa: N818 - it names what happened
    """A signal ended an environment's process, and none of ours; the text says how, in a few words."""


class EnvironmentHost:
    """Plays episodes, each in a process of its own that ends with it.

    The environment is code that people installed: it is held together and limited, not confined. Hostile are
    players, and what they hand in.

    Args:
        sandbox: what holds the processes.
        folder: where they start.
        limits: what each may use; its memory is limited in any case, see `MEMORY_MB`.
        redactor: takes secrets out of all that they tell, before anybody cuts it or sees it.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        folder: Path,
        limits: Limits | None = None,
        *,
        redactor: Redacts | None = None,
    ) -> None:
        self._starter = Starter(sandbox)
        self._folder = folder
        self._limits = limits or Limits()
        self._redactor = redactor

    async def play(
        self,
        order: Order,
        *,
        on_step: OnStep,
        on_turn: OnTurn | None = None,
        on_begin: OnBegin | None = None,
        on_stats: OnStats | None = None,
        limits: Limits | None = None,
    ) -> Over:
        """Play an episode, from its beginning or on from what is recorded.

        Where somebody's signal ends its process, it goes on in another one, and nobody notices.
        However this is left, cancellation included, no process of it lives.

        Args:
            limits: what its process may use, if not what each may.

        Raises:
            PlayFailed: it could not be played to its end.
            AgentError: its process could not be started.
        """
        lasting = LastingPlay(order, Listener(on_step, on_turn, on_begin or _ignore, on_stats or _ignore))
        bounds = _with_memory(limits or self._limits)
        while True:
            try:
                return await self._hosted(lasting, bounds)
            except _Lost as lost:
                number = lasting.lose()
                if number >= MOST_LOST:
                    why = (
                        f"{lost}; {MOST_LOST} in a row were ended by a signal without a step in between: "
                        "look for what ends them, such as a machine with too little memory"
                    )
                    raise PlayFailed(_blames(order, why), "environment") from None
                log.warning("environment %r: %s; its episode goes on in another", order.environment, lost)

    async def _hosted(self, lasting: LastingPlay, limits: Limits) -> Over:
        """Play on in a process of its own, of which nothing is left afterwards."""
        process = await self._start(limits)
        process.breach.add_done_callback(lambda _: process.kill())
        try:
            return await self._follow(process, lasting)
        finally:
            process.kill()
            await uninterrupted(asyncio.wait({process.ended}))

    async def _start(self, limits: Limits) -> Process:
        env = await asyncio.to_thread(child_environment, os.environ, _import_path(os.environ))
        program = Program(
            argv=(sys.executable, "-P", "-m", "shiftwork.environments.host"),
            cwd=self._folder,
            env=env,
            limits=limits,
            keep=MOST_LINE,
            wait=True,
        )
        planned = Plan(program, b"", ProseLines(), interrupt_first=False)
        return await self._starter.start(_CONFIG, uuid.uuid4().hex, planned, lambda _: None)

    async def _follow(self, process: Process, lasting: LastingPlay) -> Over:
        order = lasting.order
        try:
            await _write(process, order)
            async for line in _lines(process):
                match _understood(line, order):
                    case Over() as over:
                        return await self._clean_over(over)
                    case Failed() as failed:
                        raise PlayFailed(await self._redacted(failed.error), failed.why)
                    case Begun() as begun:
                        told = {"description": await self._redacted(begun.description)}
                        lasting.begin(begun.model_copy(update=told))
                    case Taken(step=step, seconds=seconds):
                        await lasting.keep(step, self._clean_step(step), seconds)
                        await _write(process, Kept())
                    case Turn() as turn:
                        lasting.note(turn.stats)
                        last = None if turn.last is None else self._clean_step(turn.last)
                        choice = await lasting.choose(await self._clean(turn.observation), last)
                        await _write(process, Chosen(choice=choice))
        except _ReadsNoMore:
            pass  # why is said below
        raise PlayFailed(_blames(order, await self._how_it_ended(process)), "environment")

    async def _how_it_ended(self, process: Process) -> str:
        """Why it says no more, in words; raises `_Lost` if somebody else's signal ended it."""
        ends: set[asyncio.Future[Any]] = {process.ended, process.breach}
        await asyncio.wait(ends, return_when=FIRST_COMPLETED, timeout=_TO_END)
        if process.breach.done():
            return process.breach.result()
        if not process.ended.done():
            return "its process speaks no more, and has not ended"
        status = process.ended.result()
        if breach := process.breach_by_end(status):
            return breach
        said = await self._redacted((process.stderr.read() or b"").decode("utf-8", "replace"))
        last = said.strip().splitlines()
        words = one_line(truncate(last[-1], 500)) if last else "it does not say why"
        if (name := _signal(status)) is None:
            return f"its process ended with status {status}: {words}"
        raise _Lost(f"its process ended with status {status} ({name}): {words.rstrip('.')}")

    async def _clean(self, seen: Observation) -> Observation:
        if self._redactor is None:
            return seen
        return await asyncio.to_thread(redacted_observation, seen, self._redactor)

    async def _clean_over(self, over: Over) -> Over:
        fault = None if over.fault is None else await self._redacted(over.fault)
        return over.model_copy(update={"observation": await self._clean(over.observation), "fault": fault})

    def _clean_step(self, step: Step) -> Step:
        return step if self._redactor is None else redacted_step(step, self._redactor)

    async def _redacted(self, said: str) -> str:
        if self._redactor is None:
            return said
        done: str = await asyncio.to_thread(self._redactor.redact_excerpts, said)
        return done


def _ignore(_: object) -> None:
    """Who has not asked to be told."""


def _with_memory(limits: Limits) -> Limits:
    """The same, with a limit of memory if there is none."""
    if limits.memory_mb is not None:
        return limits
    most = _MOST_OF_MACHINE * psutil.virtual_memory().total / 1_000_000
    return replace(limits, memory_mb=min(MEMORY_MB, most))


def _import_path(base: Mapping[str, str]) -> dict[str, str]:
    """Where environments are looked for beside what is installed: as here, wherever their processes start."""
    named = [entry for entry in base.get("PYTHONPATH", "").split(os.pathsep) if entry]
    return {"PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in named)} if named else {}


async def _write(process: Process, told: Order | Kept | Chosen) -> None:
    try:
        await process.stdin.write(told.model_dump_json().encode() + b"\n")
    except BrokenPipeError:
        raise _ReadsNoMore from None


def _signal(status: int) -> str | None:
    """The signal that an exit status tells of; None: it ended by itself."""
    try:
        return signal.Signals(status - 128).name
    except ValueError:
        return None


def _understood(line: bytes, order: Order) -> Begun | Taken | Turn | Over | Failed:
    try:
        return Told.validate_json(line)
    except ValidationError as error:
        raise PlayFailed(_blames(order, "what it told can't be understood"), "environment") from error


async def _lines(process: Process) -> AsyncIterator[bytes]:
    """Each line; a longer one than may be is an end."""
    waiting = bytearray()
    async for chunk in process.stdout.chunks():
        waiting += chunk
        while (end := waiting.find(b"\n")) >= 0:
            line = bytes(waiting[:end])
            del waiting[: end + 1]
            yield line
        if len(waiting) > MOST_LINE:
            return


def _blames(order: Order, why: str) -> str:
    return f"Environment {order.environment!r} failed: {why.rstrip('.')}."
