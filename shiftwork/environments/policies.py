"""What chooses the actions of an episode."""

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from shiftwork.environments.protocol import Observation
from shiftwork.environments.sampling import sample_parameters
from shiftwork.environments.trajectory import Choice, Step
from shiftwork.errors import InvalidInput


class Policy(Protocol):
    """What plays."""

    async def act(self, observation: Observation, history: Sequence[Step]) -> Choice | None:
        """Choose an action.

        Args:
            observation: what is perceived now; after a refusal the same as before.
            history: every step of the episode; the error of the last says why it was refused, if it was.

        Returns:
            The choice; None: the player stops.
        """


class RandomPolicy:
    """Chooses among the available actions by chance, with parameters that their schemas allow.

    The choice depends on the seed and the number of the step alone, so that a play which is taken up again
    goes on as it would have gone on.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    async def act(self, observation: Observation, history: Sequence[Step]) -> Choice | None:
        """Choose; None where no action is available.

        Raises:
            CannotSample: no parameters of the chosen action could be drawn.
        """
        if not observation.available_actions:
            return None
        source = random.Random(f"{self._seed}:{len(history)}")  # noqa: S311 - a reproducible game
        action = source.choice(observation.available_actions)
        return Choice(action=action.name, parameters=sample_parameters(action, source))


class ScriptedPolicy:
    """Does what it was told, step by step, and stops then.

    Args:
        choices: names of actions, pairs of a name and parameters, or choices.
    """

    def __init__(self, choices: Iterable[Choice | str | tuple[str, Mapping[str, Any]]]) -> None:
        self._choices = tuple(_choice(each) for each in choices)

    async def act(self, observation: Observation, history: Sequence[Step]) -> Choice | None:  # noqa: ARG002 - Policy
        """The next in order."""
        return self._choices[len(history)] if len(history) < len(self._choices) else None


class PolicyPerAgent:
    """Several players: each acts when `Observation.agent` names it."""

    def __init__(self, policies: Mapping[str, Policy]) -> None:
        self._policies = dict(policies)

    async def act(self, observation: Observation, history: Sequence[Step]) -> Choice | None:
        """What the one whose turn it is chooses.

        Raises:
            InvalidInput: nobody plays for that agent.
        """
        player = self._policies.get(observation.agent or "")
        if player is None:
            there = ", ".join(map(repr, self._policies)) or "nobody"
            raise InvalidInput(
                f"nobody plays for agent {observation.agent!r}; there are players for: {there}"
            )
        return await player.act(observation, history)


def _choice(given: Choice | str | tuple[str, Mapping[str, Any]]) -> Choice:
    if isinstance(given, Choice):
        return given
    action, parameters = (given, {}) if isinstance(given, str) else given
    return Choice(action=action, parameters=dict(parameters))
