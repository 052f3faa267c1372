"""The base class of environments: what a subclass defines, held to the rules whatever it does."""

import random
from abc import ABC, abstractmethod
from typing import Any, Final

from shiftwork.environments.enforcement import Play, episode_now, guard_methods, play_of
from shiftwork.environments.protocol import (
    ActionDefinition,
    ActionResult,
    EpisodeStats,
    HarnessStatus,
    Observation,
    own_copy,
)
from shiftwork.errors import InvalidInput

_NO_EPISODE: Final = EpisodeStats()


class BaseHarness(ABC):
    """An environment that an agent acts in, an episode at a time.

    A subclass defines `reset`, `step` and `get_action_space`, and what else it needs. However they are
    written, the base class sees to it that

    - steps are counted, and an episode of `max_steps` or `timeout_seconds` is cut short (`truncated`);
    - an action is one of `available_actions`, with the parameters it takes, before `step` sees it;
    - an action that is refused, that fails, that raises or that takes too long is a result with `success`
      false and one sentence in `error`, and leaves the episode as it was;
    - nothing is stepped before `reset`, nor after the end.

    What an instance holds is noted before each step, and written back if the step fails; what can't be is
    made again from the seed, the options of `reset` and the actions taken; what does not come in time, or
    comes to something else, is broken, and needs a `reset`. Tasks and async generators that a failed step has
    begun end before that. Code that neither waits nor returns can't be interrupted: its time is judged when
    it returns, or by who holds its process.

    Attributes:
        name: one word by which tools, lists and rows call it.
        description: what it is, for agents and people.
        max_steps: actions that an episode may take; None: as many as it likes.
        timeout_seconds: how long an episode may last; None: as long as it likes.
        step_timeout_seconds: how long one action may take; None: what is left of the episode.
        undo_seconds: how much longer than it has lasted an episode may take to be made again, if it has no
            `timeout_seconds`; with these, it may take as long as they say.
        agents: who plays, where several do; `Observation.agent` says whose turn it is.
        current_step: actions taken in this episode.
        status: where it stands.
        random: made anew from the seed of each episode.
    """

    name: str = ""
    description: str = ""
    max_steps: int | None = None
    timeout_seconds: float | None = None
    step_timeout_seconds: float | None = None
    undo_seconds: float = 60.0
    agents: tuple[str, ...] = ()
    current_step: int = 0
    status: HarnessStatus = HarnessStatus.IDLE
    random: random.Random

    _play: Play

    def __init__(
        self,
        name: str,
        description: str = "",
        max_steps: int | None = None,
        timeout_seconds: float | None = None,
        *,
        step_timeout_seconds: float | None = None,
    ) -> None:
        for what, limit, kinds, wanted in (
            ("max_steps", max_steps, (int,), "an integer"),
            ("timeout_seconds", timeout_seconds, (int, float), "a number"),
            ("step_timeout_seconds", step_timeout_seconds, (int, float), "a number"),
        ):
            if limit is None:
                continue
            if isinstance(limit, bool) or not isinstance(limit, kinds) or not limit > 0:
                raise InvalidInput(
                    f"{what} of environment {name!r} is {limit!r}; give {wanted} above 0, or None"
                )
        if not name:
            raise InvalidInput("an environment has an empty name; give it one")
        self.name = name
        self.description = description
        self.max_steps = max_steps
        self.timeout_seconds = timeout_seconds
        self.step_timeout_seconds = step_timeout_seconds

    def __init_subclass__(cls, **options: Any) -> None:
        """Hold what a subclass defines to the rules."""
        super().__init_subclass__(**options)
        if cls.name in ("", *(base.__name__ for base in cls.__mro__[1:])):
            cls.name = cls.__name__  # unless a class says how it is called
        guard_methods(cls)

    async def initialize(self) -> bool:
        """Get ready, once, before the first episode; False: it can't be used."""
        return True

    @abstractmethod
    async def reset(self) -> Observation:
        """Begin an episode, and say what is perceived.

        It may take `seed`, an integer of at least 0, or draw from `self.random`, if it has no use for the
        number: the same seed must then make the same episode. Where it does neither, `reset(seed=…)` works
        all the same, and the episode is marked as not reproducible.

        Raises:
            InvalidInput: the seed or an option is wrong.
            EnvironmentFailed: it could not begin; the episode before goes on.
        """

    @abstractmethod
    async def step(self, action: str, **parameters: Any) -> ActionResult:
        """Take an action."""

    @abstractmethod
    def get_action_space(self) -> list[ActionDefinition]:
        """Every action there is."""

    async def get_observation(self) -> Observation:
        """What is perceived now; changes nothing."""
        return own_copy(play_of(self).newest)

    def is_done(self) -> bool:
        """Whether the episode is over; it is, too, when its time is up."""
        episode = episode_now(self)
        return episode is not None and episode.observation.done

    def is_success(self) -> bool:
        """Whether the aim was reached; here: the episode ended by its own rules, with a reward above 0."""
        episode = play_of(self).episode
        return episode is not None and episode.observation.terminated and episode.reward > 0

    def get_stats(self) -> EpisodeStats:
        """How the episode goes, or went."""
        episode = play_of(self).episode
        return _NO_EPISODE.model_copy() if episode is None else episode.stats(success=self.is_success())

    async def shutdown(self) -> None:  # noqa: B027 - most have nothing to give back
        """Give back what `initialize` took; nothing can be done with it afterwards."""


guard_methods(BaseHarness)  # type: ignore[type-abstract] # its own methods, to be inherited
