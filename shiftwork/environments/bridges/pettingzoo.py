"""Environments of PettingZoo, played as ours; and ours, for what plays PettingZoo's."""

from collections.abc import Sequence
from typing import Any

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.bridges.extras import MissingExtra
from shiftwork.environments.parameters import parameter_schema
from shiftwork.environments.protocol import ActionDefinition, ActionResult, Observation
from shiftwork.errors import InvalidInput
from shiftwork.text import one_line, truncate

try:
    import pettingzoo
    from pettingzoo.env_registry import registration
    from pettingzoo.env_registry.exceptions import PettingZooRegistryError
    from pettingzoo.utils.conversions import parallel_to_aec
except ModuleNotFoundError as error:
    raise MissingExtra("pettingzoo", error) from error

from shiftwork.environments.bridges.harness_aec import HarnessAEC
from shiftwork.environments.bridges.space_actions import SpaceActions
from shiftwork.environments.bridges.spaces import json_of_info
from shiftwork.environments.bridges.telling import content_of
from shiftwork.environments.bridges.uncopied import Uncopied

__all__ = ["HarnessAEC", "PettingZooHarness"]


class PettingZooHarness(BaseHarness):
    """An environment of PettingZoo, whose agents act by turns.

    Each agent's action space becomes actions with parameters, see `SpaceActions`; an `action_mask` in its
    observation, or its `info`, limits what is available. `Observation.agent` says whose turn it is. An agent
    whose game is over has no turn any more; the episode is over when that is so for all.

    Args:
        environment: an environment, or the id of one that is registered: `classic/tictactoe-v3`. One whose
            agents act at the same time is played by turns, and each sees only what was before all of them.
        actions: names for the actions of `Discrete` spaces, in their order.
        max_steps: how many actions of all agents together an episode may take.
        timeout_seconds: how long an episode may last.
        options: with which one that is given by id is made.

    Raises:
        InvalidInput: there is no such environment, or it can't be played by means of JSON.
    """

    def __init__(
        self,
        environment: "pettingzoo.AECEnv | pettingzoo.ParallelEnv | str",
        *,
        actions: Sequence[str] | None = None,
        max_steps: int | None = None,
        timeout_seconds: float | None = None,
        **options: Any,
    ) -> None:
        made = _made(environment, options)
        name = made.metadata.get("name") or type(made.unwrapped).__name__
        super().__init__(name, f"PettingZoo's {name}", max_steps=max_steps, timeout_seconds=timeout_seconds)
        self._env = Uncopied(made)
        self._theirs = {str(agent): agent for agent in _agents_of(made)}
        self.agents = tuple(self._theirs)
        self._actions = {
            ours: SpaceActions(made.action_space(agent), actions) for ours, agent in self._theirs.items()
        }

    async def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Observation:
        """Begin an episode; `options` are the environment's own."""
        self._env.thing.reset(seed=seed, options=options)
        return self._observation()

    async def step(self, action: str, **parameters: Any) -> ActionResult:
        """Take an action of the agent whose turn it is."""
        env = self._env.thing
        agent = str(env.agent_selection)
        try:
            taken = self._actions[agent].taken(action, parameters)
        except InvalidInput as error:
            return ActionResult(success=False, observation=Observation(), error=str(error))
        env.step(taken)
        rewards = {str(each): float(reward) for each, reward in env.rewards.items()}
        last = self._see_off()
        return ActionResult(
            observation=self._observation(last), reward=rewards.get(agent, 0.0), rewards=rewards
        )

    def get_action_space(self) -> list[ActionDefinition]:
        """Every action of every agent."""
        found: dict[str, list[ActionDefinition]] = {}
        for actions in self._actions.values():
            for each in actions.definitions():
                same = found.setdefault(each.name, [])
                if each not in same:
                    same.append(each)
        return [_any_of(each) for each in found.values()]

    async def shutdown(self) -> None:
        """Close the environment."""
        self._env.thing.close()

    def _see_off(self) -> tuple[Any, bool]:
        """Let each agent whose game is over leave, as PettingZoo asks for.

        Returns:
            What the last of them saw, and whether the game of one was cut short.
        """
        env = self._env.thing
        last, cut = None, False
        while env.agents:
            agent = env.agent_selection
            if not (env.terminations[agent] or env.truncations[agent]):
                break
            last, cut = env.observe(agent), cut or not env.terminations[agent]
            env.step(None)
        return last, cut

    def _observation(self, last: tuple[Any, bool] = (None, False)) -> Observation:
        env = self._env.thing
        if not env.agents:
            (value, _), cut = _unmasked(last[0]), last[1]
            content, kind = content_of(value)
            return Observation(content=content, content_type=kind, terminated=not cut, truncated=cut)
        agent = env.agent_selection
        seen, _, _, _, info = env.last()
        value, mask = _unmasked(seen)
        mask = info.get("action_mask") if mask is None else mask
        content, kind = content_of(value)
        return Observation(
            content=content,
            content_type=kind,
            available_actions=self._actions[str(agent)].definitions(mask),
            metadata=json_of_info(info),
            agent=str(agent),
        )


def _unmasked(seen: Any) -> tuple[Any, Any]:
    """An observation and the mask that it may hold."""
    if isinstance(seen, dict) and "action_mask" in seen:
        return seen.get("observation"), seen["action_mask"]
    return seen, None


def _made(environment: Any, options: dict[str, Any]) -> Any:
    if isinstance(environment, pettingzoo.ParallelEnv):
        environment = parallel_to_aec(environment)
    if not isinstance(environment, str):
        if options:
            raise InvalidInput(f"{', '.join(options)}: options are for environments that are given by id")
        return environment
    try:
        return registration.make("aec", environment, **options)
    except (PettingZooRegistryError, ImportError, TypeError, ValueError) as error:
        raise InvalidInput(
            f"PettingZoo can't make {environment!r}: {one_line(truncate(str(error), 300))}"
        ) from error


def _agents_of(made: Any) -> list[Any]:
    try:
        return list(made.possible_agents)
    except AttributeError:
        raise InvalidInput(
            f"{made} does not say who may play it; wrap it so that it has `possible_agents`"
        ) from None


def _any_of(same: list[ActionDefinition]) -> ActionDefinition:
    """One definition of what agents call the same and mean differently."""
    if len(same) == 1:
        return same[0]
    parameters = {"type": "object", "anyOf": [parameter_schema(each) for each in same]}
    return same[0].model_copy(update={"parameters": parameters})
