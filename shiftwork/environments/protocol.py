"""What an environment shows and answers: observations, actions and their results, and how an episode went."""

import base64
import copy
import math
import re
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

ActionName = Annotated[str, Field(min_length=1, max_length=200)]
Reward = Annotated[float, Field(allow_inf_nan=False)]

MOST_REWARD: Final = 1e100
"""What one action may earn, or cost: sums and means of as many as there may be are still numbers."""


_Shown = TypeVar("_Shown", bound="Observation")


_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class HarnessStatus(StrEnum):
    """Where an environment stands."""

    IDLE = "idle"
    """No episode was begun."""
    ACTIVE = "active"
    """An episode goes on."""
    COMPLETED = "completed"
    """The episode ended: terminated or truncated."""
    ERROR = "error"
    """It can't be used: `initialize` said no, or a fault could not be undone."""
    SHUTDOWN = "shutdown"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ActionDefinition(_Model):
    """An action that may be taken.

    Attributes:
        name: what `step` is called with.
        description: what it does, for the agent.
        parameters: what it takes: a JSON schema of an object (it has a `type`, or `properties` of which each
            has a schema), or a map from each parameter's name to its schema. In a map every parameter is
            required but those with a `default` or with `"required": false`, and no other is taken.
    """

    name: ActionName
    description: str = ""
    parameters: dict[str, Any] = {}


class Observation(_Model):
    """What an agent perceives.

    Attributes:
        content: text; any JSON value where `content_type` is `json`; a PNG or JPEG in base64, or as a `data:`
            URL, where it is `image` (bytes are encoded).
        content_type: how to read `content`.
        available_actions: the actions that may be taken now; this list, not the metadata, is what counts.
        metadata: more for the agent: score, time, ...
        reward: what the last action earned, if any was taken.
        terminated: whether the episode came to an end of its own, by the rules of the environment.
        truncated: whether it was cut short: too many steps, too long.
        done: terminated or truncated; alone it means terminated.
        agent: whose turn it is, where several agents play.
    """

    content: JsonValue = ""
    content_type: Literal["text", "image", "json"] = "text"
    available_actions: list[ActionDefinition] = []
    metadata: dict[str, JsonValue] = {}
    done: bool = False
    reward: Reward | None = None
    terminated: bool = False
    truncated: bool = False
    agent: str | None = None

    @field_validator("content", mode="before")
    @classmethod
    def _bytes_as_base64(cls, content: object) -> object:
        return base64.b64encode(content).decode() if isinstance(content, bytes) else content

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.content_type != "json" and not isinstance(self.content, str):
            raise ValueError(
                f"content is of type {type(self.content).__name__}, and that of an observation of type "
                f"{self.content_type!r} is text; give text, or content_type 'json'"
            )
        self.terminated = self.terminated or (self.done and not self.truncated)
        self.done = self.terminated or self.truncated
        return self


class ActionResult(_Model):
    """What came of an action.

    Attributes:
        success: whether it was taken. If not, the episode is as it was before.
        observation: what is perceived after it.
        reward: what it earned; where several agents play, what it earned the one that acted.
        rewards: what it earned each agent, by name, where several play.
        error: one sentence on why it was not taken.
        metadata: more on the action: how it was understood, what it cost, ...
    """

    success: bool = True
    observation: Observation
    reward: Reward = 0.0
    rewards: dict[str, Reward] = {}
    error: str | None = None
    metadata: dict[str, JsonValue] = {}

    @property
    def done(self) -> bool:
        """Whether the episode is over."""
        return self.observation.done


def own_copy(observation: _Shown) -> _Shown:
    """An observation that shares nothing that can be changed.

    Raises:
        ValueError: a part of it is nothing that JSON knows.
    """
    return observation.model_copy(update={name: own_parts(value) for name, value in observation})


def own_parts(value: Any) -> Any:
    """A copy of a JSON value, or of actions; other things that it holds are copied as they say.

    Raises:
        ValueError: a part of it is a number or a text that JSON does not know.
    """
    if isinstance(value, str):
        if not value.isascii() and _SURROGATE.search(value):
            raise ValueError("a text of it holds a lone surrogate, which no encoding knows; replace it")
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"a number of it is {value}, which JSON does not know; give a text, or null")
        return value
    if isinstance(value, dict):
        return {own_parts(key): own_parts(each) for key, each in value.items()}
    if isinstance(value, list):
        return [own_parts(each) for each in value]
    if isinstance(value, ActionDefinition):
        return value.model_copy(update={"parameters": own_parts(value.parameters)})
    return value if value is None or isinstance(value, int) else copy.deepcopy(value)


def as_it_is(observation: Observation) -> Observation:
    """An observation checked again: what was assigned to it after it was made counts as well.

    No part of it is the environment's any more.

    Raises:
        ValueError: it holds what none may, numbers and text that JSON does not know among it.
    """
    if not isinstance(observation, Observation):  # assigned, too
        return own_copy(Observation.model_validate(observation))
    checked = type(observation).model_validate(dict(observation))
    told = {flag: getattr(checked, flag) for flag in ("terminated", "truncated", "done", "reward")}
    return own_copy(observation).model_copy(update=told)


def as_earned(result: ActionResult) -> ActionResult:
    """A result checked again, with the reward that counts: the observation's, if the result names none.

    Raises:
        ValueError: it holds what none may.
    """
    seen = as_it_is(result.observation)
    said = "reward" in result.model_fields_set or seen.reward is None
    reward = result.reward if said else seen.reward
    checked = type(result).model_validate({**dict(result), "observation": seen, "reward": reward})
    return checked.model_copy(update={"metadata": own_parts(checked.metadata)})


def has_ended(status: HarnessStatus, seen: Observation) -> bool:
    """Whether an action ended the episode by its own rules: it shows so, or the environment says so."""
    return seen.terminated or (status is HarnessStatus.COMPLETED and not seen.truncated)


class EpisodeStats(_Model):
    """How an episode goes, or went.

    Attributes:
        total_steps: actions that were taken.
        total_reward: the sum of what they earned.
        success: whether the aim was reached; see `BaseHarness.is_success`.
        terminated: see `Observation`.
        truncated: see `Observation`.
        refused_actions: actions that were asked for and not taken.
        seed: the number from which the episode was made; None before the first one.
        reproducible: whether the same seed makes the same episode again, as far as can be told: `reset` takes
            it, or the environment was seen to draw from `random`.
        episode: how many episodes were begun, this one included.
        duration_seconds: since the episode began, until it ended.
        rewards: the sum of what each agent earned, where several play.
    """

    total_steps: int = 0
    total_reward: float = 0.0
    success: bool = False
    terminated: bool = False
    truncated: bool = False
    refused_actions: int = 0
    seed: int | None = None
    reproducible: bool = False
    episode: int = 0
    duration_seconds: float = 0.0
    rewards: dict[str, float] = {}
