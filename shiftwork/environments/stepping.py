"""One step of an environment: refused, undone, or taken and counted."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from shiftwork.environments.episode import Episode, TakenAction, check_rewards
from shiftwork.environments.failures import TookTooLong, is_failure, let_go, of_type, why, within
from shiftwork.environments.leaving import leave, not_undone, noted
from shiftwork.environments.parameters import BadParameters, checked_parameters
from shiftwork.environments.play_state import check_base, episode_now, play_of, time_is_up
from shiftwork.environments.protocol import (
    ActionDefinition,
    ActionResult,
    HarnessStatus,
    as_earned,
    has_ended,
    own_copy,
)
from shiftwork.environments.undoing import PutBack, copied, put_back, undo
from shiftwork.text import printable, truncate

if TYPE_CHECKING:
    from shiftwork.environments.base import BaseHarness


class _Refused(Exception):  # noqa: N818 - an action that is not taken; the text says why
    pass


_WRONG_CALL: Final = (
    "give step the name of one action, a text, and what it takes by name, as step('go', by=2); there were "
    "other values than these"
)


async def take_step(
    environment: "BaseHarness",
    inner: Callable[..., Awaitable[ActionResult]],
    /,
    *named: Any,
    **parameters: Any,
) -> ActionResult:
    """The guard around an environment's `step`: what goes wrong is a result, and changes nothing."""
    episode = episode_now(environment)
    if not named and "action" in parameters:
        named = (parameters.pop("action"),)
    if len(named) != 1 or not isinstance(named[0], str):
        return _refusal(environment, episode, _WRONG_CALL)
    action = str.__str__(named[0])  # not as a class of its own says
    try:
        episode = _going_on(environment, episode)
    except _Refused as refusal:
        return _refusal(environment, episode, str(refusal))
    before = noted(environment, episode)
    try:
        checked, result = await _tried(environment, inner, episode, action, parameters)
    except _Refused as refusal:
        if not episode.observation.available_actions:  # `get_action_space` was asked, and nothing else
            put_back(before)
        return _refusal(environment, episode, str(refusal))
    except GeneratorExit:  # whoever asked for it is gone: nothing can be waited for
        if put_back(before) is PutBack.NOT:
            environment.status = HarnessStatus.ERROR
        raise
    except BaseException:  # a cancellation: half a step is undone, too
        await leave(environment, episode, lambda: undo(environment, episode, before))
        raise
    if isinstance(result, ActionResult) and result.success:
        episode.taken.append(TakenAction(action, checked, result.reward, result.rewards))
        return _counted(environment, episode, result)
    undone = await leave(environment, episode, lambda: undo(environment, episode, before))
    return _untaken(environment, episode, action, result, undone=undone)


async def _tried(
    environment: "BaseHarness",
    inner: Callable[..., Awaitable[ActionResult]],
    episode: Episode,
    action: str,
    parameters: dict[str, Any],
) -> tuple[dict[str, Any], ActionResult | str]:
    """What an action was given and what came of it, or how it failed.

    Nothing holds the error of a failure afterwards: what ends with it ends before the undo, not after it.

    Raises:
        _Refused: it can't be taken.
    """
    name = environment.name
    try:
        there = episode.observation.available_actions or environment.get_action_space()
        checked = _checked(there, action, parameters)
        doing = inner(environment, action, **copied(checked))
        answer = await within(_time_left(environment, episode), doing, episode.now)
        result = as_earned(of_type(ActionResult, "step", answer))
        check_rewards(result)
        if result.success:
            check_base(environment)
    except _Refused:
        raise
    except BaseException as error:  # whatever people's code raises
        let_go(error)
        if not is_failure(error):
            raise
        return {}, _failure(name, action, error)
    return checked, result


def _untaken(
    environment: "BaseHarness", episode: Episode, action: str, result: ActionResult | str, *, undone: bool
) -> ActionResult:
    """The answer to an action that was not taken, or that failed."""
    told, why = (None, result) if isinstance(result, str) else (result, result.error)
    why = why or f"action {action!r} was not taken"
    why += not_undone(environment, HarnessStatus.ACTIVE, undone=undone)
    if told is None or not undone:
        episode.faults += 1
    return _refusal(environment, episode_now(environment), why, told)


def _going_on(environment: "BaseHarness", episode: Episode | None) -> Episode:
    if play_of(environment).closed:
        raise _Refused(f"environment {environment.name!r} was shut down; make another one")
    if episode is None:
        raise _Refused(f"no episode of {environment.name!r} was begun; call reset first")
    if episode.observation.done:
        how = "terminated" if episode.observation.terminated else "was cut short"
        raise _Refused(
            f"the episode of {environment.name!r} {how} after {len(episode.taken)} steps; "
            "call reset to begin another"
        )
    if environment.status is HarnessStatus.ERROR:
        raise _Refused(
            f"environment {environment.name!r} is broken: a failed action could not be undone; call reset"
        )
    return episode


def _checked(there: Sequence[ActionDefinition], action: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    found = next((each for each in there if each.name == action), None)
    if found is None:
        names = ", ".join(repr(each.name) for each in there) or "none"
        raise _Refused(f"there is no action {truncate(repr(action), 100)} now; there is: {names}")
    try:
        json.dumps(parameters, allow_nan=False, ensure_ascii=False).encode()
    except Exception:  # noqa: BLE001 - whatever a player's own classes raise
        raise _Refused(f"the parameters of action {action!r} are no JSON values") from None
    try:
        return checked_parameters(found, parameters)
    except BadParameters as error:
        raise _Refused(str(error)) from None


def _time_left(environment: "BaseHarness", episode: Episode) -> float | None:
    limit = environment.timeout_seconds
    left = None if limit is None else max(limit - episode.seconds, 0.0)
    return min((each for each in (left, environment.step_timeout_seconds) if each is not None), default=None)


def _counted(environment: "BaseHarness", episode: Episode, result: ActionResult) -> ActionResult:
    seen, reward = result.observation, result.reward
    episode.earned(reward, result.rewards)
    episode.note_drawing(environment.random)
    steps = environment.current_step = len(episode.taken)
    ended = has_ended(environment.status, seen)
    over = environment.max_steps is not None and steps >= environment.max_steps
    cut = seen.truncated or (not ended and (over or time_is_up(environment, episode)))
    shown = episode.show(
        seen.model_copy(
            update={"reward": reward, "terminated": ended, "truncated": cut, "done": ended or cut}
        )
    )
    environment.status = HarnessStatus.COMPLETED if shown.done else HarnessStatus.ACTIVE
    return result.model_copy(update={"observation": shown, "reward": reward, "error": None})


def _refusal(
    environment: "BaseHarness", episode: Episode | None, why: str, result: ActionResult | None = None
) -> ActionResult:
    if episode is not None:
        episode.refused += 1
    return ActionResult(
        success=False,
        observation=own_copy(play_of(environment).newest).model_copy(update={"reward": None}),
        error=truncate(printable(why), 2000),
        metadata={} if result is None else result.metadata,
    )


def _failure(name: str, action: str, error: BaseException) -> str:
    if isinstance(error, TookTooLong):
        return f"action {action!r} of {name!r} took too long, and was not taken"
    return f"action {action!r} failed inside environment {name!r}: {why(error)}"
