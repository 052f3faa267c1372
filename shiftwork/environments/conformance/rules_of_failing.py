"""Rules on actions that fail: which may, and that the episode is as it was after them."""

import math
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.conformance.comparing import confirmed, shows_otherwise
from shiftwork.environments.conformance.holding import changed, hold
from shiftwork.environments.conformance.subject import (
    NotChecked,
    Seen,
    Subject,
    frozen,
    shown_of,
    time_is_up,
    unlike,
)
from shiftwork.environments.conformance.watched import moments_of
from shiftwork.environments.leaving import GOES_ON
from shiftwork.environments.parameters import BadParameters, checked_parameters, parameter_schema
from shiftwork.environments.protocol import ActionDefinition, HarnessStatus
from shiftwork.environments.sampling import CannotSample, sample_parameters
from shiftwork.environments.trajectory import Choice

_TOO_SHORT = 1e-9
"""Seconds in which no step is done: each is taken back then, whatever it did."""
_KEEP = (
    "keep all that changes in the instance, where it can be put back, and leave behind no thread or timer "
    "(call_later) that changes it"
)
_MOST_LATE = 8
_MOST_WRONG = 3
_WRONG_VALUES: tuple[Any, ...] = (None, "no such value", -1.5, [[]], {"no": "such"}, True, -(10**9))


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
    found: list[str] = []

    async def err_early(environment: BaseHarness) -> None:
        if not subject.shared:
            found.extend(await _before_reset(subject, environment))

    async def err(environment: BaseHarness, _: Choice) -> None:
        if not found:
            for choice, why in _wrong_choices(environment.get_action_space()[:10], subject.seed):
                found.extend(await _refused(subject, environment, choice, why))

    def fault(where: str) -> str:
        return (
            f"an episode differs at {where} when wrong actions are tried in between; let an action that is "
            "not taken change nothing, outside of the instance either"
        )

    return await _found_by(subject, _Meddling(found, fault, _MOST_WRONG, err, err_early))


async def _before_reset(subject: Subject, environment: BaseHarness) -> list[str]:
    for choice, why in _wrong_choices(environment.get_action_space()[:3], subject.seed):
        result = await subject.step(environment, choice)
        if result.success or not result.error:
            return [f"action {choice.action!r} ({why}) was taken before reset; leave step to the guards"]
    return []


async def _nothing(_: BaseHarness) -> None:
    pass


@dataclass(frozen=True, slots=True)
class _Meddling:
    """What is done in an episode that should change nothing of it.

    Attributes:
        found: faults that were seen in doing so.
        fault: what is wrong, from where the episode becomes another one.
        steps: in how many it is done, at most.
        between: does it before a step; `early` before the episode.
    """

    found: list[str]
    fault: Callable[[str], str]
    steps: int
    between: Callable[[BaseHarness, Choice], Awaitable[None]]
    early: Callable[[BaseHarness], Awaitable[None]] = _nothing


async def _found_by(subject: Subject, meddling: _Meddling) -> list[str]:
    """What was seen, or that the episode differs, if those of one seed are the same at all."""
    most = min(subject.steps, meddling.steps)

    async def play() -> list[Seen]:
        environment = subject.fresh()
        await meddling.early(environment)
        return await subject.trace(environment, most=most, between=partial(meddling.between, environment))

    played = await play()
    if meddling.found or not subject.kept.get("same_seed"):
        return meddling.found[:1]
    where = unlike((await subject.reference())[: most + 1], played)
    if where is not None:
        with suppress(NotChecked):
            return await confirmed(subject, where, play, meddling.fault, most=most)
    return []


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

    The base class ends the tasks that such an action has begun, and puts back what an instance holds, or
    plays the episode again from its seed. It can do neither for what lies elsewhere (a class, a module, a
    file, a server), nor for an instance that can't be put back and takes no seed; and what a thread or a
    timer does comes after that. After the first failure such an episode is another one, or over.
    """
    found: list[str] = []
    began = (await moments_of(subject))[0].took

    async def be_late(environment: BaseHarness, choice: Choice) -> None:
        if not found:
            # The first step alone: undoing later ones may take as long as these did.
            most = subject.block_seconds + 2 * began if environment.current_step == 0 else math.inf
            found.extend(await _late(subject, environment, choice, most))

    def fault(where: str) -> str:
        return f"an episode differs at {where} after actions in it failed; {_KEEP}"

    return await _found_by(subject, _Meddling(found, fault, _MOST_LATE, be_late))


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
    if GOES_ON in (result.error or ""):
        return [
            (
                f"action {choice.action!r} took too long, and a task or an async generator that it had begun "
                "did not end when it was cancelled; let asyncio.CancelledError through there, too"
            )
        ]
    if environment.status is HarnessStatus.ERROR:
        return [
            (
                f"action {choice.action!r} took too long and could not be undone; hold only what can be "
                "put back, or let reset take a seed from which the episode is made again"
            )
        ]
    if result.success:
        return [f"action {choice.action!r} was taken although it took too long; leave step to the guards"]
    where = await _not_as_it_was(subject, environment, before, seen, counted)
    if where is None:
        return []
    return [(f"action {choice.action!r} took too long, and changed {where}; {_KEEP}")]


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
    if await shows_otherwise(subject, environment, seen):
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
