"""Rules on episodes: the same again, apart from each other, and as they were after what was not taken."""

import math
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.conformance.holding import changed, hold
from shiftwork.environments.conformance.subject import (
    NotChecked,
    Subject,
    frozen,
    shown_of,
    steps_untold,
    time_is_up,
    unlike,
)
from shiftwork.environments.conformance.watched import moments_of
from shiftwork.environments.parameters import BadParameters, checked_parameters, parameter_schema
from shiftwork.environments.protocol import ActionDefinition, HarnessStatus
from shiftwork.environments.sampling import CannotSample, sample_parameters
from shiftwork.environments.trajectory import Choice

_TOO_SHORT = 1e-9
"""Seconds in which no step is done: each is taken back then, whatever it did."""
_MOST_LATE = 8
_MOST_WRONG = 3
_WRONG_VALUES: tuple[Any, ...] = (None, "no such value", -1.5, [[]], {"no": "such"}, True, -(10**9))


async def same_seed(subject: Subject) -> list[str]:
    """The same seed makes the same episode: first observation, rewards, ends and all between.

    An episode is taken up again after a crash by its seed and its actions, agents are compared on the same
    seeds, and a fault that was seen once has to be seen again.
    """
    one = await subject.reference()
    environment = subject.fresh()
    where = unlike(one, await subject.trace(environment))
    if where is None:
        return []
    if not environment.get_stats().reproducible:
        raise NotChecked("reset takes no seed and its episodes differ, so they can't be compared")
    return [
        (
            f"two episodes of seed {subject.seed} with the same actions differ at {where}; draw from "
            "self.random, not from `random` or a clock, and keep what changes in the instance"
        )
    ]


async def fresh_reset(subject: Subject) -> list[str]:
    """After `reset` nothing is left of the episode before, whether it was over or not.

    What is left over makes the result of an episode depend on which were played before it, in which order.
    """
    environment = subject.fresh(alone=True)
    await subject.trace(environment, subject.seed + 1)
    await subject.trace(environment, subject.seed + 2, most=2)
    where = unlike(await subject.reference(), await subject.trace(environment))
    if where is None:
        return []
    return [
        (
            f"an episode of seed {subject.seed} differs at {where} when others were played before it in the "
            "same instance; put back everything in reset()"
        )
    ]


async def separate_instances(subject: Subject) -> list[str]:
    """Two instances know nothing of each other.

    Workers play many episodes at the same time, in as many instances; if these share a list, a class
    attribute or a random generator, each plays in the others' games.
    """
    one, other = subject.fresh(alone=True), subject.fresh(alone=True)
    await subject.begin(one, subject.seed)
    before, seen = hold(one), shown_of(one, await subject.within(one.get_observation()))
    await subject.trace(other, subject.seed + 1)
    where = changed(one, {name: value for name, value in before.items() if name in vars(one)})
    if where is None and shown_of(one, await subject.within(one.get_observation())) != seen:
        where = "get_observation()"
    if where is not None:
        return [
            (
                f"playing in one instance changed {where!r} of another; keep what changes in the instance, "
                "made in __init__ or reset(), not in the class, the module, a default argument or a "
                "file that others use"
            )
        ]
    return await _interleaved(subject)


async def _interleaved(subject: Subject) -> list[str]:
    reference = await subject.reference()
    if unlike(reference, await subject.trace(subject.fresh(alone=True))) is not None:
        return []  # its episodes differ anyhow, which is another rule's affair
    one, other = subject.fresh(alone=True), subject.fresh(alone=True)
    await subject.begin(other, subject.seed + 1)
    other_choices: list[int] = []

    async def play_the_other(_: Choice) -> None:
        seen = await subject.within(other.get_observation())
        if seen.done:
            seen = await subject.begin(other, subject.seed + 1 + len(other_choices))
        choice = await subject.choose(other, seen, steps_untold(len(other_choices)))
        other_choices.append(1)
        if choice is not None:
            await subject.step(other, choice)

    where = unlike(reference, await subject.trace(one, between=play_the_other))
    if where is None:
        return []
    return [
        (
            f"an episode of seed {subject.seed} differs at {where} when another instance is played in "
            "between; keep what changes in the instance, and draw from self.random"
        )
    ]


async def exceptions(subject: Subject) -> list[str]:
    """`step` takes an action that is available, with parameters that its schema allows, and raises nothing.

    The base class makes an error of what it raises, or of a step that takes longer than it may, and the
    player can't do anything about it: the schema promised that the action can be taken.
    """
    slow = "step_timeout_seconds" if subject.fresh().step_timeout_seconds else "timeout_seconds"
    for moment in await moments_of(subject):
        error = "" if moment.result is None else moment.result.error or ""
        if "failed inside environment" in error:
            return [
                f"{moment.label}: {error}; narrow the action's schema, or return success=False and say why"
            ]
        if "took too long" in error and (slow == "step_timeout_seconds" or moment.steps == 0):
            return [f"{moment.label}: {error}; make step() faster, or {slow} longer"]
    return []


async def refused_actions(subject: Subject) -> list[str]:
    """An action that is unknown, comes too early or has wrong parameters is an error and changes nothing.

    Agents err all the time. They learn from a clear error, and an episode that an error changes is neither
    theirs nor reproducible.
    """
    environment = subject.fresh()
    found = [] if subject.shared else await _before_reset(subject, environment)

    async def err(_: Choice) -> None:
        if not found:
            for choice, why in _wrong_choices(environment.get_action_space()[:10], subject.seed):
                found.extend(await _refused(subject, environment, choice, why))

    where = await _other_than_reference(subject, environment, _MOST_WRONG, err)
    if not found and where is not None:
        found.append(
            f"an episode differs at {where} when wrong actions are tried in between; let an action that is "
            "not taken change nothing, outside of the instance either"
        )
    return found[:1]


async def _before_reset(subject: Subject, environment: BaseHarness) -> list[str]:
    for choice, why in _wrong_choices(environment.get_action_space()[:3], subject.seed):
        result = await subject.step(environment, choice)
        if result.success or not result.error:
            return [f"action {choice.action!r} ({why}) was taken before reset; leave step to the guards"]
    return []


async def _other_than_reference(
    subject: Subject,
    environment: BaseHarness,
    steps: int,
    between: Callable[[Choice], Awaitable[None]],
) -> str | None:
    """Where an episode differs from the reference, if episodes of the same seed are the same at all."""
    most = min(subject.steps, steps)
    played = await subject.trace(environment, most=most, between=between)
    if not subject.kept.get("same_seed"):
        return None
    return unlike((await subject.reference())[: most + 1], played)


async def _refused(subject: Subject, environment: BaseHarness, choice: Choice, why: str) -> list[str]:
    before, seen, counted = await _state(subject, environment)
    result = await subject.step(environment, choice)
    said = f"action {choice.action!r} ({why})"
    if result.success:
        return [f"{said} was taken; leave step to the base class's guards"]
    if not result.error:
        return [f"{said} was refused without an error; say in one sentence why"]
    where = await _not_as_it_was(subject, environment, before, seen, counted)
    return [f"{said} was refused, and changed {where}; let it change nothing"] if where else []


async def failed_actions(subject: Subject) -> list[str]:
    """An action that fails, or takes too long, leaves the episode as it was.

    The base class puts back what an instance holds, or plays the episode again from its seed. It can do
    neither for what lies elsewhere (a class, a module, a file, a server), nor for an instance that can't be
    copied and takes no seed: after the first failure such an episode is another one, or over.
    """
    environment = subject.fresh()
    found: list[str] = []
    began = (await moments_of(subject))[0].took

    async def be_late(choice: Choice) -> None:
        if not found:
            # The first step alone: undoing later ones may take as long as these did.
            most = subject.block_seconds + 2 * began if environment.current_step == 0 else math.inf
            found.extend(await _late(subject, environment, choice, most))

    where = await _other_than_reference(subject, environment, _MOST_LATE, be_late)
    if not found and where is not None:
        found.append(
            f"an episode differs at {where} after actions in it failed; keep all that changes in the "
            "instance, where it can be copied"
        )
    return found[:1]


async def _late(subject: Subject, environment: BaseHarness, choice: Choice, most: float) -> list[str]:
    before, seen, counted = await _state(subject, environment)
    limit = environment.step_timeout_seconds
    environment.step_timeout_seconds = _TOO_SHORT
    began = time.monotonic()
    try:
        result = await subject.step(environment, choice)
    finally:
        environment.step_timeout_seconds = limit
    if (took := time.monotonic() - began) > most:
        return [
            (
                f"action {choice.action!r} went on for {took:.1f} s after its time was over; let "
                "asyncio.CancelledError through"
            )
        ]
    if environment.status is HarnessStatus.ERROR:
        return [
            (
                f"action {choice.action!r} took too long and could not be undone; hold only what can be "
                "copied, or let reset take a seed from which the episode is made again"
            )
        ]
    if result.success:
        return [f"action {choice.action!r} was taken although it took too long; leave step to the guards"]
    where = await _not_as_it_was(subject, environment, before, seen, counted)
    if where is None:
        return []
    return [
        (
            f"action {choice.action!r} took too long, and changed {where}; keep all that changes in the "
            "instance, where it can be copied and put back"
        )
    ]


async def _state(subject: Subject, environment: BaseHarness) -> tuple[dict[str, Any], str, str]:
    seen = await subject.within(environment.get_observation())
    return hold(environment), shown_of(environment, seen), _counts(environment)


def _counts(environment: BaseHarness) -> str:
    return frozen(environment.get_stats().model_dump(exclude={"refused_actions", "duration_seconds"}))


async def _not_as_it_was(
    subject: Subject, environment: BaseHarness, before: dict[str, Any], seen: str, counted: str
) -> str | None:
    if time_is_up(environment):
        return None
    where = changed(environment, before)
    if where is not None:
        return f"{where!r} of the environment"
    if shown_of(environment, await subject.within(environment.get_observation())) != seen:
        return "what get_observation() shows"
    return "what get_stats() counts" if _counts(environment) != counted else None


def _wrong_choices(space: list[ActionDefinition], seed: int) -> Iterator[tuple[Choice, str]]:
    """Choices that nobody can take, each with what is wrong."""
    yield Choice(action="no such action"), "there is no such action"
    for action in space:
        for parameters, why in _wrong_parameters(action, seed):
            yield Choice(action=action.name, parameters=parameters), why


def _wrong_parameters(action: ActionDefinition, seed: int) -> Iterator[tuple[dict[str, Any], str]]:
    try:
        good = sample_parameters(action, random.Random(seed))  # noqa: S311 - a test, reproducible
    except CannotSample:
        good = {}
    schema = parameter_schema(action)
    tries = [({**good, "no such parameter": 1}, "with a parameter that it does not take")]
    for name in schema.get("required", []):
        without = {key: value for key, value in good.items() if key != name}
        tries.append((without, f"without its parameter {name!r}"))
    for name in schema.get("properties", {}):
        tries += [({**good, name: value}, f"with {name} {value!r}") for value in _WRONG_VALUES]
    for parameters, why in tries:
        try:
            checked_parameters(action, parameters)
        except BadParameters:
            yield parameters, why
