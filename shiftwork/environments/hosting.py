"""Playing an episode in an environment with a process of its own; see `shiftwork.environments.host`."""

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from shiftwork.agents.command import ProseLines
from shiftwork.environments.host import Begun, Chosen, Failed, Kept, Order, Over, Taken, Told, Turn
from shiftwork.environments.protocol import Observation
from shiftwork.environments.trajectory import Choice, Step
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

MOST_LINE: Final = 16 * 1024 * 1024
"""Bytes of an observation, and of everything else that it tells at once."""

_CONFIG: Final = AgentConfig("environment", "environment", "host an environment")

OnStep = Callable[[Step, float], Awaitable[None]]
"""Is told of each new step, and how many seconds the episode has lasted; the player sees it afterwards."""

OnTurn = Callable[[Observation, Step | None], Awaitable[Choice | None]]
"""Is asked for each choice: what is perceived, and the step before; None: the player stops."""


OnBegin = Callable[[Begun], None]
"""Is told what is played, before anything else."""


class PlayFailed(ShiftworkError):  # noqa: N818 - it names what happened
    """An episode could not be played to its end.

    Attributes:
        why: what is to blame: `invalid` parameters, the `environment`, or the `player`.
    """

    def __init__(self, message: str, why: str) -> None:
        super().__init__(message)
        self.why = why


class EnvironmentHost:
    """Plays episodes, each in a process of its own that ends with it.

    The environment is code that people installed: it is held together and limited, not confined. Hostile are
    players, and what they hand in.

    Args:
        sandbox: what holds the processes.
        folder: where they start.
        limits: what each may use.
    """

    def __init__(self, sandbox: Sandbox, folder: Path, limits: Limits | None = None) -> None:
        self._starter = Starter(sandbox)
        self._folder = folder
        self._limits = limits or Limits()

    async def play(
        self,
        order: Order,
        *,
        on_step: OnStep,
        on_turn: OnTurn | None = None,
        on_begin: OnBegin | None = None,
    ) -> Over:
        """Play an episode, from its beginning or on from what is recorded.

        However this is left, cancellation included, no process of it lives.

        Raises:
            PlayFailed: it could not be played to its end.
            AgentError: its process could not be started.
        """
        process = await self._start()
        try:
            return await self._follow(process, order, on_step, on_turn, on_begin)
        finally:
            process.kill()
            await uninterrupted(asyncio.wait({process.ended}))

    async def _start(self) -> Process:
        env = await asyncio.to_thread(child_environment, os.environ, {})
        program = Program(
            argv=(sys.executable, "-P", "-m", "shiftwork.environments.host"),
            cwd=self._folder,
            env=env,
            limits=self._limits,
            keep=MOST_LINE,
            wait=True,
        )
        planned = Plan(program, b"", ProseLines(), interrupt_first=False)
        return await self._starter.start(_CONFIG, uuid.uuid4().hex, planned, lambda _: None)

    async def _follow(
        self,
        process: Process,
        order: Order,
        on_step: OnStep,
        on_turn: OnTurn | None,
        on_begin: OnBegin | None,
    ) -> Over:
        try:
            await process.stdin.write(_line(order))
            async for line in _lines(process):
                match Told.validate_json(line):
                    case Over() as over:
                        return over
                    case Failed() as failed:
                        raise PlayFailed(failed.error, failed.why)
                    case Begun() as begun:
                        if on_begin is not None:
                            on_begin(begun)
                    case Taken() as taken:
                        await on_step(taken.step, taken.seconds)
                        await process.stdin.write(_line(Kept()))
                    case Turn() as turn:
                        assert on_turn is not None, "asked for by `player`"
                        choice = await on_turn(turn.observation, turn.last)
                        await process.stdin.write(_line(Chosen(choice=choice)))
        except BrokenPipeError:
            pass  # it died: why is said below
        except ValidationError as error:
            raise PlayFailed(_blames(order, "what it told can't be understood"), "environment") from error
        raise PlayFailed(_blames(order, await _last_words(process)), "environment")


def _line(told: Order | Kept | Chosen) -> bytes:
    return told.model_dump_json().encode() + b"\n"


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


async def _last_words(process: Process) -> str:
    if process.breach.done():
        return process.breach.result()
    process.kill()
    await asyncio.wait({process.ended})
    last = (process.stderr.read() or b"").decode("utf-8", "replace").strip().splitlines()
    said = one_line(truncate(last[-1], 500)) if last else "it does not say why"
    return f"its process ended with status {process.ended.result()}: {said}"


def _blames(order: Order, why: str) -> str:
    return f"Environment {order.environment!r} failed: {why.rstrip('.')}."
