"""An episode that somebody plays by calls, in a process of its own that ends when nobody plays on."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final

from shiftwork.environments.host import Order, Over
from shiftwork.environments.hosting import EnvironmentHost, PlayFailed
from shiftwork.environments.protocol import EpisodeStats, Observation
from shiftwork.environments.trajectory import Choice, Ending, Step
from shiftwork.errors import EnvironmentFailed, InvalidInput, ShiftworkError
from shiftwork.runner.failures import AgentError
from shiftwork.runner.shutdown import uninterrupted

IDLE_SECONDS: Final = 900.0
"""How long it waits for the next action."""
STEP_SECONDS: Final = 120.0
"""How long the environment may take to begin, or for one action, its own limits aside."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where an episode stands.

    Attributes:
        observation: what is perceived now.
        stats: how the episode goes, as the environment says.
        last: the newest action; None before the first one.
        ending: why it is over; None while it goes on.
    """

    observation: Observation
    stats: EpisodeStats
    last: Step | None = None
    ending: Ending | None = None


class InteractiveEpisode:
    """Actions are taken one after the other, in the order in which they are asked for.

    Args:
        host: has it played.
        order: what is played; its player has to be `asked`.
        idle_seconds: after so long without an action it is stopped.
        step_seconds: an environment that takes longer is ended, and the episode with it.
    """

    def __init__(
        self,
        host: EnvironmentHost,
        order: Order,
        *,
        idle_seconds: float = IDLE_SECONDS,
        step_seconds: float = STEP_SECONDS,
    ) -> None:
        self._host = host
        self._order = order
        self._idle_seconds = idle_seconds
        self._step_seconds = step_seconds
        self._choices: asyncio.Queue[Choice] = asyncio.Queue()
        self._settled = asyncio.Event()
        self._one_by_one = asyncio.Lock()
        self._steps: list[Step] = []
        self._stats = EpisodeStats()
        self._position: Position | None = None
        self._error: ShiftworkError | None = None
        self._play: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[Position]] = set()

    @property
    def over(self) -> bool:
        """Whether no action is taken any more, and no process of it lives."""
        return self._play is None or self._play.done()

    @property
    def position(self) -> Position:
        """Where it stands.

        Raises:
            InvalidInput: it could not begin as it was asked for.
            EnvironmentFailed: it could not begin, died, or took too long: the episode is lost.
        """
        if self._error is not None:
            raise self._error
        assert self._position is not None, "it has begun"
        return self._position

    async def begin(self) -> Position:
        """Begin it, once; raises as `position`."""
        self._play = asyncio.create_task(self._played())
        return await self._whole(self._next())

    async def step(self, choice: Choice) -> Position:
        """Take an action; `last` says whether it was taken. Who gives up waiting does not undo it.

        Raises:
            InvalidInput: the episode is over.
            EnvironmentFailed: see `position`.
        """
        return await self._whole(self._step(choice))

    async def end(self) -> None:
        """End it, whatever it does; where it stood can still be seen."""
        if self._play is not None:
            self._play.cancel()
            await uninterrupted(asyncio.wait({self._play}))

    async def _whole(self, work: Coroutine[Any, Any, Position]) -> Position:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: "asyncio.Task[Position]") -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # it was raised to whoever waited; if nobody did, the next call tells it

    async def _step(self, choice: Choice) -> Position:
        async with self._one_by_one:
            taken = len(self._steps)
            if not self.over and self.position.ending is None:
                self._settled.clear()
                self._choices.put_nowait(choice)
                position = await self._next()
                if len(self._steps) > taken:
                    return position
            raise InvalidInput(f"the episode is over: it {_how(self.position.ending)}; start another one")

    async def _next(self) -> Position:
        try:
            async with asyncio.timeout(self._step_seconds):
                await self._settled.wait()
        except TimeoutError:
            self._error = EnvironmentFailed(
                f"environment {self._order.environment!r} did not answer within {self._step_seconds:g} "
                "seconds, and was ended"
            )
            await self.end()
        return self.position

    async def _played(self) -> None:
        try:
            over = await self._host.play(
                self._order, on_step=self._keep, on_turn=self._turn, on_stats=self._note
            )
            self._show(over.observation if self._steps else self.position.observation, over)
        except PlayFailed as error:
            invalid = error.why in ("missing", "invalid")
            self._error = InvalidInput(str(error)) if invalid else EnvironmentFailed(str(error))
        except AgentError as error:
            self._error = EnvironmentFailed(str(error))
        finally:
            if self._position is not None and self._position.ending is None:
                self._position = replace(self._position, ending=Ending.STOPPED)
            self._settled.set()

    async def _keep(self, step: Step, seconds: float) -> None:
        del seconds  # the stats have it
        self._steps.append(step)

    def _note(self, stats: EpisodeStats) -> None:
        self._stats = stats

    async def _turn(self, observation: Observation, last: Step | None) -> Choice | None:
        del last  # it was kept
        self._show(observation)
        self._settled.set()
        try:
            async with asyncio.timeout(self._idle_seconds):
                return await self._choices.get()
        except TimeoutError:
            return None

    def _show(self, observation: Observation, over: Over | None = None) -> None:
        self._position = Position(
            observation=observation,
            stats=self._stats if over is None else over.trajectory.stats,
            last=self._steps[-1] if self._steps else None,
            ending=None if over is None else over.trajectory.ending,
        )


def _how(ending: Ending | None) -> str:
    match ending:
        case Ending.TERMINATED:
            return "ended by its own rules"
        case Ending.TRUNCATED:
            return "was cut short by its environment"
        case Ending.REFUSED:
            return "was stopped after too many actions that were refused"
        case Ending.BROKEN:
            return "broke when an action failed"
        case _:
            return "was stopped, as nobody played on or it was ended"
