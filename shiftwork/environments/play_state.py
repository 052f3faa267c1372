"""What is kept beside each environment: its lock, and where its episode stands."""

import copy
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any, Final

from shiftwork.environments.episode import Episode
from shiftwork.environments.one_by_one import OneByOne
from shiftwork.environments.protocol import HarnessStatus, Observation

if TYPE_CHECKING:
    from shiftwork.environments.base import BaseHarness

_LIMITS: Final = ("max_steps", "timeout_seconds", "step_timeout_seconds", "undo_seconds")


@dataclass(slots=True)
class Play:
    """What is kept beside an environment's own state.

    Attributes:
        episode: the one that goes on, or the last; None before the first.
        episodes: how many were begun.
        ready: what `initialize` said; None before it was asked.
        lock: one guarded method at a time.
    """

    episode: Episode | None = None
    episodes: int = 0
    ready: bool | None = None
    closed: bool = False
    lock: OneByOne = field(default_factory=OneByOne)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Play":
        """Of a copy of the environment, which nobody waits for."""
        lock = copy.deepcopy(self.lock, memo)
        return Play(copy.deepcopy(self.episode, memo), self.episodes, self.ready, self.closed, lock)

    @property
    def newest(self) -> Observation:
        """The newest observation; an empty one before the first."""
        return Observation() if self.episode is None else self.episode.observation


def play_of(environment: "BaseHarness") -> Play:
    """What is kept beside it; made at the first use, as not every subclass calls `super().__init__`."""
    play: Play | None = vars(environment).get("_play")
    if play is None:
        play = vars(environment)["_play"] = Play()
    return play


def episode_now(environment: "BaseHarness") -> Episode | None:
    """The one that goes on, or the last; one whose time is up is cut short by that."""
    episode = play_of(environment).episode
    if episode is None:
        return None
    if not episode.observation.done and time_is_up(environment, episode):
        episode.show(episode.observation.model_copy(update={"truncated": True}))
    if episode.observation.done and environment.status is HarnessStatus.ACTIVE:
        environment.status = HarnessStatus.COMPLETED
    return episode


def time_is_up(environment: "BaseHarness", episode: Episode) -> bool:
    """Whether an episode lasts as long as it may."""
    return environment.timeout_seconds is not None and episode.seconds >= environment.timeout_seconds


def check_base(environment: "BaseHarness") -> None:
    """Raise `TypeError` or `AttributeError` where an environment took from the base class what that needs."""
    for name in _LIMITS:
        limit = getattr(environment, name)
        if limit is not None and not isinstance(limit, Real):
            raise TypeError(f"{name} is of type {type(limit).__name__} now; leave it a number, or None")
    _ = environment.random
