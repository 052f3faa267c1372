"""Environments of Gymnasium, played as ours; and ours, for what plays Gymnasium's."""

import inspect
import warnings
from collections.abc import Sequence
from typing import Any, Final, Literal

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.bridges.extras import MissingExtra
from shiftwork.environments.enforcement import play_of
from shiftwork.environments.protocol import ActionDefinition, ActionResult, Observation
from shiftwork.errors import InvalidInput
from shiftwork.text import one_line, truncate

try:
    import gymnasium
except ModuleNotFoundError as error:
    raise MissingExtra("gymnasium", error) from error

from shiftwork.environments.bridges.harness_env import HarnessEnv, register_environments
from shiftwork.environments.bridges.space_actions import SpaceActions
from shiftwork.environments.bridges.spaces import json_of_info
from shiftwork.environments.bridges.telling import Content, content_of, content_of_frame
from shiftwork.environments.bridges.uncopied import Uncopied

__all__ = ["GymnasiumHarness", "HarnessEnv", "register_environments"]

_MODES: Final = ("ansi", "rgb_array")
"""What can be shown to a player, the best first."""

_MOST_ABOUT: Final = 8_000
"""Characters of what an environment says about itself."""


class GymnasiumHarness(BaseHarness):
    """An environment of Gymnasium.

    Its action space becomes actions with parameters, see `SpaceActions`; an `action_mask` in its `info`
    limits what is available. Observations are text, JSON or, where they are pictures, PNG. The metadata of
    the first holds what the environment says about itself, as `about`; that of each its `info`, as far as it
    is JSON.

    Args:
        environment: an environment, or the id of one that is registered: `CartPole-v1`, `ALE/Pong-v5`,
            `module:Name-v0`.
        show: what a player perceives: the `observation`, or what `render` returns; then the observation is in
            the metadata, unless it is a picture.
        actions: names for the actions of a `Discrete` space, in its order; None: its own, if it has some.
        success_reward: an episode that earned at least this much is a success; None: the threshold with which
            the environment is registered, or else what its `info` says as `is_success`.
        max_steps: None: as many as the environment is registered with.
        timeout_seconds: how long an episode may last.
        options: for `gymnasium.make`.

    Raises:
        InvalidInput: there is no such environment, or it can't be played by means of JSON.
    """

    def __init__(
        self,
        environment: "gymnasium.Env[Any, Any] | str",
        *,
        show: Literal["observation", "render"] = "observation",
        actions: Sequence[str] | None = None,
        success_reward: float | None = None,
        max_steps: int | None = None,
        timeout_seconds: float | None = None,
        **options: Any,
    ) -> None:
        if show not in ("observation", "render"):
            raise InvalidInput(f"what is shown is {show!r}; give 'observation' or 'render'")
        made = _made(environment, show, options)
        spec = made.spec
        super().__init__(
            _name_of(made),
            one_line(f"Gymnasium's {spec.id if spec else _name_of(made)}"),
            max_steps=spec.max_episode_steps if spec and max_steps is None else max_steps,
            timeout_seconds=timeout_seconds,
        )
        self.success_reward = success_reward
        if success_reward is None and spec is not None and spec.reward_threshold is not None:
            self.success_reward = float(spec.reward_threshold)
        self._env = Uncopied(made)
        self._actions = SpaceActions(made.action_space, _names(made) if actions is None else actions)
        self._renders = show == "render"
        self._info: dict[str, Any] = {}

    async def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Observation:
        """Begin an episode; `options` are the environment's own."""
        value, info = self._env.thing.reset(seed=seed, options=options)
        seen = self._observation(value, info)
        return seen.model_copy(update={"metadata": {"about": self._about(), **seen.metadata}})

    async def step(self, action: str, **parameters: Any) -> ActionResult:
        """Take an action."""
        try:
            taken = self._actions.taken(action, parameters)
        except InvalidInput as error:
            return ActionResult(success=False, observation=Observation(), error=str(error))
        value, reward, terminated, truncated, info = self._env.thing.step(taken)
        seen = self._observation(value, info)
        # Gymnasium's time limits cut short what ended by itself, too.
        ends = {"terminated": bool(terminated), "truncated": bool(truncated) and not terminated}
        ends["done"] = any(ends.values())
        return ActionResult(observation=seen.model_copy(update=ends), reward=float(reward))

    def get_action_space(self) -> list[ActionDefinition]:
        """Every action."""
        return self._actions.definitions()

    def is_success(self) -> bool:
        """Whether enough was earned, or the environment says so."""
        told = self._info.get("is_success", self._info.get("success"))
        if self.success_reward is None and isinstance(told, bool):
            return told
        if self.success_reward is None:
            return super().is_success()
        episode = play_of(self).episode
        return episode is not None and episode.observation.done and episode.reward >= self.success_reward

    async def shutdown(self) -> None:
        """Close the environment."""
        self._env.thing.close()

    def _observation(self, value: Any, info: dict[str, Any]) -> Observation:
        self._info = json_of_info(info)
        content, kind = self._content(value)
        return Observation(
            content=content,
            content_type=kind,
            available_actions=self._actions.definitions(info.get("action_mask")),
            metadata={**self._info, **self._also_told(value)},
        )

    def _content(self, value: Any) -> Content:
        return content_of_frame(self._env.thing.render()) if self._renders else content_of(value)

    def _also_told(self, value: Any) -> dict[str, Any]:
        """The observation itself where another thing is shown, unless it is a picture."""
        content, kind = content_of(value) if self._renders else ("", "image")
        return {} if kind == "image" else {"observation": content}

    def _about(self) -> str:
        return truncate(inspect.getdoc(type(self._env.thing.unwrapped)) or "", _MOST_ABOUT)


def _made(
    environment: "gymnasium.Env[Any, Any] | str", show: str, options: dict[str, Any]
) -> "gymnasium.Env[Any, Any]":
    if not isinstance(environment, str):
        if options:
            raise InvalidInput(f"{', '.join(options)}: options are for environments that are given by id")
        if not isinstance(environment, gymnasium.Env):
            raise InvalidInput(
                f"a {type(environment).__name__} was given as an environment of Gymnasium; give a "
                "gymnasium.Env, which plays one episode at a time, or the id of one"
            )
        return environment
    try:
        with warnings.catch_warnings(record=True) as told:
            if show == "render" and "render_mode" not in options:
                options = {**options, "render_mode": _mode(gymnasium.spec(environment))}
            made = gymnasium.make(environment, **options)
    except (gymnasium.error.Error, ImportError, TypeError) as error:
        raise InvalidInput(
            f"Gymnasium can't make {environment!r}: {one_line(truncate(str(error), 500))}"
        ) from error
    for each in told:  # of one that can't be made, the error says it all
        warnings.showwarning(each.message, each.category, each.filename, each.lineno)
    return made


def _mode(spec: "gymnasium.envs.registration.EnvSpec") -> str:
    creator: object = spec.entry_point
    if isinstance(creator, str):
        creator = gymnasium.envs.registration.load_env_creator(creator)
    known = getattr(creator, "metadata", {}).get("render_modes", ())
    found = next((mode for mode in _MODES if mode in known), None)
    if found is None:
        raise InvalidInput(f"Gymnasium's {spec.id} renders neither text nor pictures; show its observation")
    return found


def _name_of(environment: "gymnasium.Env[Any, Any]") -> str:
    if environment.spec is None:
        return type(environment.unwrapped).__name__
    return environment.spec.id.rpartition(":")[2].rpartition("/")[2]


def _names(environment: "gymnasium.Env[Any, Any]") -> tuple[str, ...] | None:
    """Those of environments that name their actions, such as the games of Atari."""
    meanings = getattr(environment.unwrapped, "get_action_meanings", None)
    if meanings is None or not isinstance(environment.action_space, gymnasium.spaces.Discrete):
        return None
    return tuple(str(each).lower() for each in meanings())
