"""Rules on getting ready, beginning, the actions there are, and the end."""

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final

import psutil

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.conformance.rules_of_lending import scribble_into
from shiftwork.environments.conformance.subject import NotChecked, Subject, frozen, step_of
from shiftwork.environments.conformance.watched import moments_of
from shiftwork.environments.conformance.wording import RAISED, raised
from shiftwork.environments.enforcement import MOST_SEED
from shiftwork.environments.parameters import BadParameters, parameter_schema
from shiftwork.environments.protocol import ActionDefinition, HarnessStatus, Observation
from shiftwork.environments.restoring import Snapshot
from shiftwork.environments.trajectory import Step
from shiftwork.errors import ShiftworkError

_ASKED: Final = 8
"""Times in which what is drawn by chance shows that it is."""


async def initialize(subject: Subject) -> list[str]:
    """`initialize` returns True here: what can't be used can't be checked.

    Whoever plays asks it first, and plays nothing where it says anything but True. False is right where
    something is missing that the environment needs; an `initialize` that ends without a `return` makes an
    environment that nobody can use.
    """
    try:
        ready: Any = await subject.within(subject.fresh().initialize())
    except RAISED as error:
        return [
            f"initialize() {raised(error)}; return False where it can't be used, and let it raise nothing"
        ]
    if ready is False:
        return [
            (
                "initialize() returned False: the environment can't be used here; check it where there is "
                "what it needs, or return True"
            )
        ]
    if ready is not True:
        return ["initialize() did not return True; return True once the environment can be used"]
    return []


async def action_space(subject: Subject) -> list[str]:
    """`get_action_space` names every action once, with valid schemas, and each caller gets a list of its own.

    Players learn from it what they may do, and parameters are held against it: an action without a valid
    schema can't be taken, and a list that callers share is changed for all by one of them.
    """
    environment = subject.fresh()
    await subject.begin(environment)
    there: Any = environment.get_action_space()
    if not isinstance(there, list) or not all(isinstance(each, ActionDefinition) for each in there):
        return ["get_action_space() is no list of ActionDefinition; return one"]
    if not there:
        return ["get_action_space() is empty; define the actions that can ever be taken"]
    names = [each.name for each in there]
    twice = sorted({name for name in names if names.count(name) > 1})
    found = [f"get_action_space() has action {name!r} more than once; give each a name" for name in twice]
    for each in there:
        try:
            parameter_schema(each)
        except BadParameters as error:
            found.append(f"{error}; mend the parameters of its definition")
    return found or _lends_its_actions(environment, there)


def _lends_its_actions(environment: BaseHarness, there: list[ActionDefinition]) -> list[str]:
    before = _written(there)
    if any(_written(environment.get_action_space()) != before for _ in range(_ASKED)):
        return [
            (
                "get_action_space() differs from one call to the next, with nothing in between; let it tell "
                "what is so, and draw nothing"
            )
        ]
    before_it = Snapshot(SimpleNamespace(there=there))  # they may be its class's, and are used after this
    for each in there:
        scribble_into(each.parameters)
    there.append(ActionDefinition(name="added by a player"))
    now = _written(environment.get_action_space())
    before_it.put_back()
    if now == before:
        return []
    return [
        (
            "get_action_space() hands out what the environment itself uses: a change by the caller was "
            "there at the next call; make the list and its definitions anew at each call, or copy them"
        )
    ]


def _written(space: list[ActionDefinition]) -> str:
    return frozen([each.model_dump() for each in space])


async def reset(subject: Subject) -> list[str]:
    """`reset` begins an episode, again and again, and with any seed.

    An evaluation plays many episodes in one instance, with seeds from 0 to 2,147,483,647; an environment that
    can be begun only once, or with some seeds, stops it in the middle.
    """
    environment = subject.fresh()
    for seed in (subject.seed, subject.seed, 0, 1, MOST_SEED, None):
        given: dict[str, Any] = {} if seed is None else {"seed": seed}
        said = "reset()" if seed is None else f"reset(seed={seed})"
        try:
            seen = await subject.within(environment.reset(**given))
        except ShiftworkError as error:
            return [f"{said} failed: {error}; it has to begin an episode, each time and with every seed"]
        except RAISED as error:
            return [f"{said} {raised(error)}; it has to begin an episode, each time and with every seed"]
        if seen.done:
            return [
                f"{said} begins an episode that is over already; begin one in which an action can be taken"
            ]
        if environment.status is not HarnessStatus.ACTIVE:
            return [f"after {said} the status is {environment.status!r}; leave it to the base class"]
    return []


async def shutdown(subject: Subject) -> list[str]:
    """`shutdown` works before, in and after an episode, twice too, and nothing can be played afterwards.

    It is called wherever something else has failed already; one that raises there hides the reason, and what
    it did not give back stays until the process ends.
    """
    unused = subject.fresh(alone=True)
    try:
        await subject.within(unused.shutdown())
    except RAISED as error:
        return [
            f"shutdown() before initialize() {raised(error)}; let it give back what is there, if anything"
        ]
    environment = subject.fresh(alone=True)
    seen = await subject.begin(environment)
    for which in ("shutdown()", "a second shutdown()"):
        try:
            await subject.within(environment.shutdown())
        except RAISED as error:
            return [f"{which} {raised(error)}; let it give back what is there, and raise nothing"]
    choice = await subject.choose(environment, seen, ())
    if choice is not None:
        result = await subject.step(environment, choice)
        if result.success:
            return [
                f"action {choice.action!r} was taken after shutdown(); leave step to the base class's guards"
            ]
    return []


async def left_behind(subject: Subject) -> list[str]:
    """After `shutdown` no task, no thread and no process of the environment goes on.

    A worker makes and ends thousands of environments; what each leaves running adds up until it falls over.
    """
    before = _running()
    environment = subject.fresh(alone=True)
    await subject.trace(environment, most=3)
    await subject.within(environment.shutdown())
    for _ in range(20):
        await asyncio.sleep(0.02)
        left = sorted(_running() - before, key=lambda each: each.told)
        if not left:
            return []
    told = ", ".join(each.told for each in left[:5])
    return [f"after shutdown() there still runs {told}; end it in shutdown()"]


@dataclass(frozen=True, slots=True)
class _Running:
    """A task, a thread or a process, and how it is told."""

    of: object
    told: str = field(compare=False)


def _running() -> set[_Running]:
    found = {_Running(each, repr(each.get_name())) for each in asyncio.all_tasks()}
    for thread in threading.enumerate():
        # Those of the loop's own executor, and those that wait for its processes, are used by others too.
        if not thread.name.startswith(("asyncio_", "waitpid-")):
            found.add(_Running(thread, repr(thread.name)))
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            command = process.cmdline()
            # What multiprocessing keeps is meant to live as long as the program.
            if process.status() != psutil.STATUS_ZOMBIE and "multiprocessing." not in " ".join(command):
                found.add(_Running(process, f"process {process.pid} ({process.name()})"))
    return found


async def ends(subject: Subject) -> list[str]:
    """An episode ends within `max_steps`, and nothing is taken after its end.

    Who waits for the end of an episode, waits for ever otherwise; and a reward that is earned after the end
    belongs to no episode.
    """
    environment = subject.fresh()
    most = environment.max_steps
    tried = min(most or subject.steps, subject.steps * 10)
    if most is not None and most > tried:
        subject.note(f"ends: max_steps is {most}, and {tried} steps were tried")
    seen = await subject.begin(environment)
    history: list[Step] = []
    taken = 0
    while not seen.done and taken < tried and len(history) < tried + subject.steps:
        choice = await subject.choose(environment, seen, history)
        if choice is None:
            break
        result = await subject.step(environment, choice)
        history.append(step_of(choice, result))
        taken += result.success
        seen = result.observation
    if seen.done:
        return await _nothing_after_the_end(subject, environment, seen)
    if most is not None and taken >= most:
        return [f"the episode goes on after {taken} steps, and max_steps is {most}; leave step to the guards"]
    raise NotChecked(f"no episode was over after {taken} steps; give it max_steps, or another player")


async def _nothing_after_the_end(subject: Subject, environment: BaseHarness, seen: Observation) -> list[str]:
    choice = await subject.choose(environment, seen, ())
    if choice is None:
        return []
    before = environment.get_stats()
    result = await subject.step(environment, choice)
    after = environment.get_stats()
    if result.success or (before.total_steps, before.total_reward) != (after.total_steps, after.total_reward):
        return [f"action {choice.action!r} was taken after the end; leave step to the base class's guards"]
    return []


async def blocking(subject: Subject) -> list[str]:
    """`reset` and `step` don't keep the event loop for long.

    A worker plays many episodes in one loop, and tells from it that it lives: an environment that waits with
    `time.sleep`, or calculates for seconds, stops them all.
    """
    slow = [each for each in await moments_of(subject) if each.blocked > subject.block_seconds]
    found = []
    for kind, of_kind in (("reset", lambda each: each.result is None), ("step", lambda each: each.result)):
        those = [each for each in slow if of_kind(each)]
        if len(those) > 1:  # one alone may be the machine's fault
            worst = max(those, key=lambda each: each.blocked)
            found.append(
                f"{kind}() kept the event loop for {worst.blocked:.1f} s at {worst.label}; await what takes "
                "long, such as asyncio.to_thread(…)"
            )
    return found
