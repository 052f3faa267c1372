"""Our environments for what plays those of Gymnasium."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import gymnasium
from gymnasium import spaces

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.bridges.driven import DrivenHarness
from shiftwork.environments.bridges.numbered import AnyText, info_of, text_of
from shiftwork.environments.enforcement import MOST_SEED
from shiftwork.environments.protocol import Observation
from shiftwork.environments.registry import find_environments
from shiftwork.environments.trajectory import Choice

NAMESPACE: Final = "shiftwork"
"""In which `register_environments` registers ours."""


class HarnessEnv(gymnasium.Env[dict[str, Any], Any]):
    """One of our environments as one of Gymnasium's.

    Where each action has a finite number of parameters, they are numbered: the action space is `Discrete`,
    `choices` says what each number means, and an observation holds an `action_mask`. Else an action is a
    text, `{"action": NAME, "parameters": {…}}`. An observation is a dictionary with the `text` that an agent
    reads; everything else of it is in `info`.

    An action that is refused changes nothing: `info["error"]` says why, and it earns `refused_reward`. Where
    several agents play, whoever calls `step` plays for all, and `info["agent"]` says for whom.

    Args:
        harness: an environment, or the name of one.
        parameters: with which one of that name is made.
        refused_reward: what a refused action earns.
        render_mode: `ansi`, or None.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi"], "render_fps": 1}  # type: ignore[misc] # Gymnasium's is none

    def __init__(
        self,
        harness: BaseHarness | str,
        *,
        parameters: Mapping[str, Any] | None = None,
        refused_reward: float = 0.0,
        render_mode: str | None = None,
    ) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise gymnasium.error.UnsupportedMode(f"render mode {render_mode!r}; there is 'ansi'")
        self._driven = DrivenHarness(harness, parameters)
        self.render_mode = render_mode
        self._refused_reward = refused_reward
        parts: dict[str, spaces.Space[Any]] = {"text": AnyText()}
        if self.choices:
            parts["action_mask"] = spaces.MultiBinary(len(self.choices))
        self.observation_space = spaces.Dict(parts)
        self.action_space = self._driven.actions.space

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What each number means; empty where actions are texts."""
        return self._driven.actions.choices

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin an episode; without a seed, one that follows from the last.

        Args:
            options: for the environment's own `reset`.

        Raises:
            ShiftworkError: the episode could not begin.
        """
        super().reset(seed=seed)
        seen = self._driven.reset(int(self.np_random.integers(MOST_SEED)) if seed is None else seed, options)
        return self._observation(seen), info_of(seen)

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Take an action."""
        result = self._driven.take(action)
        seen = self._driven.seen
        reward = result.reward if result.success else self._refused_reward
        return self._observation(seen), reward, seen.terminated, seen.truncated, info_of(seen, result.error)

    def render(self) -> str | None:
        """The text of the newest observation, in mode `ansi`."""
        return None if self.render_mode is None else text_of(self._driven.seen)

    def close(self) -> None:
        """Shut the environment down."""
        self._driven.close()

    def _observation(self, seen: Observation) -> dict[str, Any]:
        told: dict[str, Any] = {"text": text_of(seen)}
        return {**told, "action_mask": self._driven.actions.mask(seen)} if self.choices else told


def register_environments() -> tuple[str, ...]:
    """Let `gymnasium.make` know every environment that is found; the ids, such as `shiftwork/maze-v0`."""
    ids = []
    for name in find_environments().names:
        ids.append(f"{NAMESPACE}/{name}-v0")
        if ids[-1] not in gymnasium.registry:
            gymnasium.register(
                ids[-1], entry_point=f"{__name__}:{HarnessEnv.__name__}", kwargs={"harness": name}
            )
    return tuple(ids)
