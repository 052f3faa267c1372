"""What the base class keeps of an episode, apart from what an environment keeps itself."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from shiftwork.environments.protocol import MOST_REWARD, ActionResult, EpisodeStats, Observation, own_copy


class SeededRandom(random.Random):
    """Made from the seed of an episode; one that an environment made itself is another class."""

    def __deepcopy__(self, memo: dict[int, object]) -> "SeededRandom":
        """Its state is one tuple of plain numbers; each step would copy them one by one."""
        copied = SeededRandom(0)
        copied.setstate(self.getstate())
        return copied


@dataclass(slots=True)
class TakenAction:
    """An action that was taken, with its parameters as the environment got them, and what it earned."""

    action: str
    parameters: dict[str, Any]
    reward: float
    rewards: dict[str, float]


@dataclass(slots=True)
class Episode:
    """One play of an environment.

    Attributes:
        number: the first is 1.
        seed: from which it was made.
        options: with which `reset` was called; the seed among them, if it takes one.
        drawn: whether chance was seen to come from the seed, see `note_drawing`.
        began: on the clock of `now`.
        spent: seconds that went by before it was taken up here.
        ended: when it was over; None while it goes on.
        stands: since when its clock stands still; None while it runs.
        observation: the newest.
        taken: every action, in order.
        reward: the sum of rewards.
        rewards: that of each agent.
        refused: actions that were not taken.
        faults: those of them that failed inside the environment.
        now: the clock, in seconds.
    """

    number: int
    seed: int
    options: dict[str, Any]
    observation: Observation
    drawn: bool = False
    now: Callable[[], float] = time.monotonic
    began: float = 0.0
    spent: float = 0.0
    ended: float | None = None
    stands: float | None = None
    taken: list[TakenAction] = field(default_factory=list)
    reward: float = 0.0
    rewards: dict[str, float] = field(default_factory=dict)
    refused: int = 0
    faults: int = 0

    @property
    def reproducible(self) -> bool:
        """Whether the environment makes it from the seed: its `reset` takes it, or it draws from `random`."""
        return self.drawn or "seed" in self.options

    def note_drawing(self, source: object) -> None:
        """See whether an environment has drawn from the generator that was made for it from the seed."""
        if not self.reproducible and isinstance(source, SeededRandom):
            self.drawn = source.getstate() != SeededRandom(self.seed).getstate()

    @property
    def seconds(self) -> float:
        """How long it has lasted."""
        return self.spent + (self._clock() if self.ended is None else self.ended) - self.began

    @contextmanager
    def not_counted(self) -> Iterator[None]:
        """Meanwhile its clock stands still: what is done is none of the episode's."""
        self.stands = self._clock()
        try:
            yield
        finally:
            if self.ended is None:
                self.began += self.now() - self.stands
            self.stands = None

    def _clock(self) -> float:
        return self.now() if self.stands is None else self.stands

    def earned(self, reward: float, rewards: Mapping[str, float]) -> None:
        """Add what an action earned."""
        self.reward += reward
        for agent, each in rewards.items():
            self.rewards[agent] = self.rewards.get(agent, 0.0) + each

    def show(self, observation: Observation) -> Observation:
        """Make it the newest; an episode that is done stays so. What is kept is not what is handed out."""
        known = self.observation
        terminated = observation.terminated or known.terminated
        truncated = observation.truncated or known.truncated
        shown = observation.model_copy(
            update={"terminated": terminated, "truncated": truncated, "done": terminated or truncated}
        )
        self.observation = own_copy(shown)
        if shown.done and self.ended is None:
            self.ended = self._clock()
        return shown

    def stats(self, *, success: bool) -> EpisodeStats:
        """How it goes."""
        return EpisodeStats(
            total_steps=len(self.taken),
            total_reward=self.reward,
            success=success,
            terminated=self.observation.terminated,
            truncated=self.observation.truncated,
            refused_actions=self.refused,
            seed=self.seed,
            reproducible=self.reproducible,
            episode=self.number,
            duration_seconds=self.seconds,
            rewards=dict(self.rewards),
        )


def check_rewards(result: ActionResult) -> None:
    """Raise `ValueError` for a reward that is too large for sums and means."""
    seen = result.observation.reward
    for reward in (result.reward, *result.rewards.values(), *(() if seen is None else (seen,))):
        if not abs(reward) <= MOST_REWARD:
            raise ValueError(
                f"a reward of {reward:g} was paid; pay numbers from -{MOST_REWARD:g} to {MOST_REWARD:g}"
            )
