"""Our environments for several agents, for what plays those of PettingZoo."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pettingzoo
from gymnasium import spaces

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.bridges.driven import DrivenHarness
from shiftwork.environments.bridges.numbered import info_of, text_of
from shiftwork.environments.enforcement import MOST_SEED
from shiftwork.environments.protocol import Observation
from shiftwork.environments.trajectory import Choice
from shiftwork.errors import InvalidInput

Array = npt.NDArray[Any]

_MOST_BYTES: Final = 4_096
_BYTES: Final = spaces.Box(0, 255, (_MOST_BYTES,), np.uint8)


class HarnessAEC(pettingzoo.AECEnv):  # type: ignore[misc] # PettingZoo tells no types
    """One of our environments for several agents as one of PettingZoo's, whose agents act by turns.

    Actions are numbers, as in `HarnessEnv`. An observation is a dictionary of an `observation` and an
    `action_mask`, as in PettingZoo's own games: what was last shown to that agent, and what it may do now. It
    is the text in UTF-8, unless `encode` makes something better to learn from of it. All of an observation is
    in the agent's `info`. An action that is refused changes nothing, and it stays the agent's turn:
    `infos[agent]["error"]` says why.

    Args:
        harness: an environment for several agents, or the name of one.
        parameters: with which one of that name is made.
        encode: an observation as an array of `encoded`.
        encoded: the space of what `encode` returns.
        refused_reward: what a refused action earns.
        render_mode: `ansi`, or None.

    Raises:
        InvalidInput: one agent plays it, or its actions can't be numbered.
    """

    agent_selection: str

    def __init__(
        self,
        harness: BaseHarness | str,
        *,
        parameters: Mapping[str, Any] | None = None,
        encode: Callable[[Observation], Array] | None = None,
        encoded: spaces.Space[Any] = _BYTES,
        refused_reward: float = 0.0,
        render_mode: str | None = None,
    ) -> None:
        super().__init__()
        self._driven = DrivenHarness(harness, parameters)
        self._encode = encode or _bytes
        self._refused_reward = refused_reward
        self.render_mode = render_mode
        name = self._driven.harness.name
        self.metadata = {"name": name, "render_modes": ["ansi"], "is_parallelizable": False}
        self.possible_agents = list(self._driven.harness.agents)
        if not self.possible_agents:
            raise InvalidInput(f"environment {name!r} is for one agent; give it to HarnessEnv")
        if not self.choices:
            raise InvalidInput(f"the actions of environment {name!r} can't be numbered; play it as ours")
        mask = spaces.Box(0, 1, (len(self.choices),), np.int8)
        self.observation_spaces = {
            agent: spaces.Dict({"observation": encoded, "action_mask": mask})
            for agent in self.possible_agents
        }
        self.action_spaces = {agent: spaces.Discrete(len(self.choices)) for agent in self.possible_agents}
        self._seeds = np.random.default_rng()
        self.agents: list[str] = []

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What each number means."""
        return self._driven.actions.choices

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """What an agent is shown."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """What an agent can do."""
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Begin an episode; without a seed, one that follows from the last. Of `options` there are none.

        Raises:
            ShiftworkError: the episode could not begin.
        """
        if seed is not None:
            self._seeds = np.random.default_rng(seed)
        chosen = int(self._seeds.integers(MOST_SEED)) if seed is None else seed
        first = self._driven.reset(chosen, None)
        self.agents = list(self.possible_agents)
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos: dict[str, dict[str, Any]] = {agent: {} for agent in self.agents}
        self._shown = dict.fromkeys(self.agents, Observation())
        self._show(first)

    def step(self, action: Any) -> None:
        """Take an action of the agent whose turn it is; that of one whose game is over is None."""
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        self._cumulative_rewards[agent] = 0.0
        self._clear_rewards()
        result = self._driven.take(action)
        self.infos = {each: {**info, "error": None} for each, info in self.infos.items()}
        earned = {agent: result.reward, **result.rewards} if result.success else {agent: self._refused_reward}
        self.rewards |= {each: earned.get(each, 0.0) for each in self.agents}
        self._accumulate_rewards()
        self._show(self._driven.seen, result.error)

    def observe(self, agent: str) -> dict[str, Array]:
        """What was last shown to an agent, and what it may do now."""
        shown = self._shown[agent]
        mask = self._driven.actions.mask(shown)
        if agent != self.agent_selection:
            mask[:] = 0
        return {"observation": self._encode(shown), "action_mask": mask}

    def render(self) -> str | None:
        """The text of the newest observation, in mode `ansi`."""
        return None if self.render_mode is None else text_of(self._driven.seen)

    def close(self) -> None:
        """Shut the environment down."""
        self._driven.close()

    def _show(self, seen: Observation, error: str | None = None) -> None:
        if seen.done:
            self.terminations = dict.fromkeys(self.agents, seen.terminated)
            self.truncations = dict.fromkeys(self.agents, seen.truncated)
            place = self.agents.index(self.agent_selection) + 1
            self.agent_selection = self.agents[place % len(self.agents)]
        else:
            self.agent_selection = seen.agent or self.agents[0]
        for agent in self.agents if seen.done else [self.agent_selection]:
            self._shown[agent] = seen
            self.infos[agent] = info_of(seen, error)


def _bytes(seen: Observation) -> Array:
    told = np.frombuffer(text_of(seen).encode()[:_MOST_BYTES], np.uint8)
    return np.pad(told, (0, _MOST_BYTES - len(told)))
