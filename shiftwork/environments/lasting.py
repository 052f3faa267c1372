"""A play that lasts longer than the process of its environment: what has to be known to go on in another."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from shiftwork.environments.host import Begun, Order
from shiftwork.environments.protocol import EpisodeStats, Observation
from shiftwork.environments.trajectory import Choice, Step

MOST_LOST: Final = 3
"""Processes that a signal may end one after the other, before one of them has taken a further step."""

OnStep = Callable[[Step, float], Awaitable[None]]
"""Is told of each new step, and how many seconds the episode has lasted; the player sees it afterwards."""

OnTurn = Callable[[Observation, Step | None], Awaitable[Choice | None]]
"""Is asked for each choice: what is perceived, and the step before; None: the player stops."""

OnBegin = Callable[[Begun], None]
"""Is told what is played, before anything else."""

OnStats = Callable[[EpisodeStats], None]
"""Is told how the episode goes, before each turn."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told of an episode, and asked."""

    on_step: OnStep
    on_turn: OnTurn | None
    on_begin: OnBegin
    on_stats: OnStats


class LastingPlay:
    """One play, whatever becomes of the processes that host its environment.

    Its listener notices nothing of another process: it is told of each step once, and asked for each once.

    Args:
        order: what is played.
        listener: who is told and asked.
    """

    def __init__(self, order: Order, listener: Listener) -> None:
        self._order = order
        self._listener = listener
        self._taken: list[Step] = []
        self._seconds = order.spent
        self._chosen: tuple[int, Choice | None] | None = None
        self._begun = False
        self._lost = 0

    @property
    def order(self) -> Order:
        """What another process is to do: the same, on from the newest step."""
        recorded = (*self._order.recorded, *self._taken)
        return self._order.model_copy(update={"recorded": recorded, "spent": self._seconds})

    def lose(self) -> int:
        """Its process was lost; how many were since the newest step."""
        self._lost += 1
        return self._lost

    def begin(self, begun: Begun) -> None:
        """Tell what is played."""
        if not self._begun:
            self._begun = True
            self._listener.on_begin(begun)

    async def keep(self, step: Step, told: Step, seconds: float) -> None:
        """A new step; `told`: as the listener may see it."""
        await self._listener.on_step(told, seconds)
        self._taken.append(step)
        self._seconds = seconds
        self._lost = 0

    def note(self, stats: EpisodeStats) -> None:
        """Tell how it goes."""
        self._listener.on_stats(stats)

    async def choose(self, observation: Observation, last: Step | None) -> Choice | None:
        """Ask for the next step; what was chosen already for a process that died is not asked for again."""
        assert self._listener.on_turn is not None, "asked for by `player`"
        number = len(self._order.recorded) + len(self._taken)
        if self._chosen is None or self._chosen[0] != number:
            self._chosen = (number, await self._listener.on_turn(observation, last))
        return self._chosen[1]
