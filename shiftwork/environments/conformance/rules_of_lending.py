"""The rule on observations that were handed out: they stay as they were, and are the player's own."""

from typing import Any

from shiftwork.environments.conformance.subject import Subject, frozen, steps_untold
from shiftwork.environments.conformance.watched import moments_of
from shiftwork.environments.protocol import Observation


async def handed_out(subject: Subject) -> list[str]:
    """An observation that was handed out does not change any more, and belongs to the player.

    Who keeps the observations of an episode, to learn from them or to show them, finds the last one many
    times otherwise; and a player that changes its copy would change the game.
    """
    for moment in await moments_of(subject):
        if frozen(moment.observation.model_dump(warnings=False)) != moment.shown:
            return [
                (
                    f"the observation of {moment.label} changed after it was handed out; make a new "
                    "Observation, with new lists and dictionaries, each time"
                )
            ]
    return await _players_changes(subject)


async def _players_changes(subject: Subject) -> list[str]:
    environment = subject.fresh()
    seen = await subject.begin(environment)
    for number in range(min(subject.steps, 3) + 1):
        before = frozen((await subject.within(environment.get_observation())).model_dump(warnings=False))
        mine = await subject.within(environment.get_observation())
        choice = await subject.choose(environment, seen, steps_untold(number))
        for each in (seen, mine):
            _scribble(each)
        after = frozen((await subject.within(environment.get_observation())).model_dump(warnings=False))
        if after != before:
            return [
                (
                    f"what a player changes in its observation after step {number} is changed in the "
                    "environment; hand out copies of its lists and dictionaries"
                )
            ]
        if choice is None or seen.done:
            break
        result = await subject.step(environment, choice)
        seen = result.observation
    return []


def _scribble(seen: Observation) -> None:
    for each in seen.available_actions:
        scribble_into(each.parameters)
    seen.available_actions.clear()
    scribble_into(seen.metadata)
    scribble_into(seen.content)


def scribble_into(value: Any) -> None:
    """Change a value that holds others, and all that it holds."""
    if isinstance(value, list):
        for each in value:
            scribble_into(each)
        value.append("scribbled by a player")
    elif isinstance(value, dict):
        for each in value.values():
            scribble_into(each)
        value["scribbled by a player"] = True
