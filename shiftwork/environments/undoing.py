"""Putting an environment back to where it was before an action that failed."""

import copy
import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from shiftwork.environments.episode import Episode, SeededRandom
from shiftwork.environments.failures import is_failure, of_type, within
from shiftwork.environments.protocol import (
    ActionResult,
    HarnessStatus,
    Observation,
    as_earned,
    as_it_is,
    has_ended,
)
from shiftwork.environments.restoring import Snapshot
from shiftwork.environments.restoring_likeness import Unlike, check_alike, clock_readings
from shiftwork.errors import EnvironmentFailed

if TYPE_CHECKING:
    from shiftwork.environments.base import BaseHarness

_APART: Final = frozenset({"_play"})
"""What the base class keeps, and puts right itself."""

_TOLD: Final = ("content", "content_type", "available_actions", "metadata", "agent")
"""Of an observation, beside how the episode ended."""


def set_aside(environment: "BaseHarness") -> Snapshot | None:
    """All that an environment holds, as far as it can be noted; None where something can't be looked at."""
    try:
        return Snapshot(environment, _APART, partly=True)
    except BaseException as error:  # whatever a foreign object raises that is looked at
        if not is_failure(error):
            raise
        return None


def copied(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of which an environment may change its own; what can't be copied is shared."""
    try:
        return copy.deepcopy(dict(options))
    except Exception:  # noqa: BLE001 - whatever foreign objects raise
        return dict(options)


class PutBack(enum.Enum):
    """How far an environment holds what was set aside."""

    NOT = 0
    NEARLY = 1
    """But for the order in which a set has its elements, and pops them."""

    WHOLLY = 2


def put_back(before: Snapshot | None) -> PutBack:
    """Let an environment hold what was set aside, and nothing else."""
    if before is None:
        return PutBack.NOT
    try:
        return PutBack.WHOLLY if before.put_back() else PutBack.NEARLY
    except BaseException as error:  # as above
        if not is_failure(error):
            raise
        return PutBack.NOT


async def undo(environment: "BaseHarness", episode: Episode, before: Snapshot | None) -> None:
    """As it was: put back, or made again; an environment for which neither can be done is broken.

    What comes next may follow the order of a set's elements: where only that is another one, and the episode
    can be made again, it is; else the elements themselves are what counts. What was made again has to hold
    what was noted; where it does not, what was put back is taken, if it could be.

    Making it again may take as long as an episode may; where that is without an end, as long as this one has
    lasted and `undo_seconds` more.
    """
    found = _put_back(environment, before)
    if found is PutBack.WHOLLY:
        return
    if not episode.reproducible:
        if found is PutBack.NOT:
            environment.status = HarnessStatus.ERROR
        return
    try:
        await within(_time_for(environment, episode), _made_again(environment, episode, before, found))
    except BaseException as error:  # an interruption leaves half an episode, too
        if _put_back(environment, before) is PutBack.NOT:
            environment.status = HarnessStatus.ERROR
        if not is_failure(error):
            raise


def _put_back(environment: "BaseHarness", before: Snapshot | None) -> PutBack:
    try:
        return put_back(before)
    except BaseException:  # an interruption
        environment.status = HarnessStatus.ERROR
        raise


def _time_for(environment: "BaseHarness", episode: Episode) -> float:
    if environment.timeout_seconds is not None:
        return environment.timeout_seconds
    return episode.seconds + environment.undo_seconds


async def _made_again(
    environment: "BaseHarness", episode: Episode, before: Snapshot | None, found: PutBack
) -> None:
    """Make it again until it holds what it held: a second time where the failed step left something."""
    if before is None:
        return await _make_again(environment, episode)
    before.end_what_was_left()
    since = clock_readings() if found is PutBack.NOT else ()
    await _make_again(environment, episode)
    try:
        check_alike(before, Snapshot(environment, _APART, partly=True), since)
    except Unlike:
        if found is not PutBack.NOT:
            raise
        before.put_back_what_can_be()
        await _make_again(environment, episode)
        check_alike(before, Snapshot(environment, _APART, partly=True), since)
    return None


async def _make_again(environment: "BaseHarness", episode: Episode) -> None:
    environment.random = SeededRandom(episode.seed)
    environment.current_step = 0
    seen = as_it_is(of_type(Observation, "reset", await environment.reset(**copied(episode.options))))
    ended = seen.terminated
    for count, each in enumerate(episode.taken, start=1):
        if ended or seen.truncated:
            raise EnvironmentFailed("it came to an end before, and went on")
        environment.status = HarnessStatus.ACTIVE
        answer = await environment.step(each.action, **copied(each.parameters))
        result = as_earned(of_type(ActionResult, "step", answer))
        if not result.success:
            raise EnvironmentFailed(f"action {each.action!r} was taken before, and is not taken now")
        if (result.reward, result.rewards) != (each.reward, each.rewards):
            raise EnvironmentFailed(f"action {each.action!r} earned something else before")
        seen = result.observation
        ended = has_ended(environment.status, seen)
        environment.current_step = count
    known = episode.observation
    if any(getattr(seen, name) != getattr(known, name) for name in _TOLD):
        raise EnvironmentFailed("the same seed and actions came to another observation")
    if ended != known.terminated or (seen.truncated and not known.truncated):
        raise EnvironmentFailed("the same seed and actions came to another end")
    environment.status = HarnessStatus.COMPLETED if known.done else HarnessStatus.ACTIVE
