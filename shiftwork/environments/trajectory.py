"""What is kept of a play: each action that was chosen, and what came of it."""

import hashlib
import json
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, JsonValue

from shiftwork.environments.protocol import EpisodeStats, Observation, Reward


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Choice(_Frozen):
    """What a player wants to do."""

    action: str
    parameters: dict[str, JsonValue] = {}


class Step(_Frozen):
    """An action that a player chose, and what came of it.

    Attributes:
        number: the first of the episode is 1; actions that were refused are counted too.
        agent: who acted, where several play.
        action: its name.
        parameters: as the player gave them.
        success: whether it was taken.
        reward: what it earned.
        rewards: what it earned each agent, where several play.
        error: why it was not taken.
        fault: whether it failed inside the environment, and not by what was asked for.
        broken: whether the environment could not be put back after it: the play ends with it.
        observation: digest of what was perceived after it; see `digest`.
        terminated: whether the episode had ended by its own rules then.
        truncated: whether it had been cut short then.
    """

    number: int
    agent: str | None = None
    action: str
    parameters: dict[str, JsonValue] = {}
    success: bool = True
    reward: Reward = 0.0
    rewards: dict[str, Reward] = {}
    error: str | None = None
    fault: bool = False
    broken: bool = False
    observation: str
    terminated: bool = False
    truncated: bool = False


class Ending(StrEnum):
    """Why a play was over."""

    TERMINATED = "terminated"
    """The episode ended by its own rules."""
    TRUNCATED = "truncated"
    """The environment cut it short: too many steps, too long."""
    STOPPED = "stopped"
    """The player had enough, or had to stop after a number of steps."""
    REFUSED = "refused"
    """Too many of its actions in a row were wrong."""
    BROKEN = "broken"
    """An action failed, and the environment could not be put back to where it was."""


class Trajectory(_Frozen):
    """One play.

    Attributes:
        environment: its name.
        first: digest of what was perceived at the start.
        steps: every action in order, those included that were refused.
        ending: why it was over.
        stats: how the episode went.
    """

    environment: str
    first: str
    steps: tuple[Step, ...] = ()
    ending: Ending
    stats: EpisodeStats


def digest(observation: Observation) -> str:
    """SHA-256 of what an agent perceives, as canonical JSON.

    The reward is not part of it, and neither is whether the episode was cut short, as time may decide that.
    """
    seen = observation.model_dump(mode="json", exclude={"reward", "truncated", "done"})
    return hashlib.sha256(json.dumps(seen, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
