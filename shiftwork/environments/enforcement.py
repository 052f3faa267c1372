"""The rules that the base class holds every environment to, as guards around what a subclass defines."""

import functools
import inspect
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from shiftwork.environments.episode import Episode, SeededRandom, TakenAction, check_rewards
from shiftwork.environments.failures import TookTooLong, is_failure, why, within
from shiftwork.environments.guarding import Wrap, guard_class, guarded
from shiftwork.environments.parameters import BadParameters, checked_parameters
from shiftwork.environments.play_state import Play, episode_now, play_of, time_is_up
from shiftwork.environments.protocol import (
    ActionDefinition,
    ActionResult,
    HarnessStatus,
    Observation,
    as_earned,
    as_it_is,
)
from shiftwork.environments.undoing import copied, put_back, set_aside, undo
from shiftwork.errors import EnvironmentFailed, InvalidInput
from shiftwork.text import truncate

if TYPE_CHECKING:
    from shiftwork.environments.base import BaseHarness

__all__ = ["MOST_SEED", "Play", "episode_now", "guard_methods", "play_of"]

MOST_SEED: Final = 2**31 - 1
"""The largest that is drawn: it fits what every environment of the field takes."""

_Answer = TypeVar("_Answer")


class _Refused(Exception):  # noqa: N818 - an action that is not taken; the text says why
    pass


def guard_methods(cls: type["BaseHarness"]) -> None:
    """Put the guards around what a class defines itself, or has from a mixin."""
    guard_class(cls, _GUARDS)


def _with_our_counts(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    def outer(self: "BaseHarness") -> Any:
        episode = episode_now(self)
        said = inner(self)
        if episode is None:
            return said
        kept = episode.stats(success=said.success)
        return said.model_copy(update=kept.model_dump(exclude={"success"}))

    return outer


async def _initialize(environment: "BaseHarness", inner: Callable[..., Awaitable[bool]]) -> bool:
    play = play_of(environment)
    if play.closed:
        raise EnvironmentFailed(f"environment {environment.name!r} was shut down; make another one")
    try:
        play.ready = await inner(environment) is True
    except BaseException as error:  # whatever people's code raises
        environment.status = HarnessStatus.ERROR
        if not is_failure(error):
            raise
        raise EnvironmentFailed(
            f"environment {environment.name!r} could not be initialised: {why(error)}"
        ) from error
    if not play.ready:
        environment.status = HarnessStatus.ERROR
    return play.ready


async def _reset(
    environment: "BaseHarness",
    inner: Callable[..., Awaitable[Observation]],
    /,
    seed: int | None = None,
    **options: Any,
) -> Observation:
    play = play_of(environment)
    await _get_ready(environment, play)
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or seed < 0):
        raise InvalidInput(
            f"the seed of environment {environment.name!r} is {seed!r}; give an integer of at least 0"
        )
    chosen = secrets.randbelow(MOST_SEED + 1) if seed is None else seed
    if _takes_seed(inner):
        options["seed"] = chosen
    kept = copied(options)
    before, was = set_aside(environment), environment.status
    environment.random = SeededRandom(chosen)
    environment.current_step = 0
    try:
        answer = await within(environment.timeout_seconds, inner(environment, **options))
        first = as_it_is(_of(Observation, "reset", answer))
    except BaseException as error:  # a cancellation, too: the episode before goes on
        await _go_back(environment, play.episode, before, was)
        if not is_failure(error):
            raise
        raise EnvironmentFailed(
            f"environment {environment.name!r} could not begin an episode: {_why_none(environment, error)}"
        ) from error
    play.episodes += 1
    play.episode = Episode(play.episodes, chosen, kept, Observation())
    play.episode.began = play.episode.now()
    play.episode.note_drawing(environment.random)
    environment.current_step = 0
    shown = play.episode.show(first)
    environment.status = HarnessStatus.COMPLETED if shown.done else HarnessStatus.ACTIVE
    return shown


def _why_none(environment: "BaseHarness", error: BaseException) -> str:
    if isinstance(error, TookTooLong):
        return f"its reset took longer than the {environment.timeout_seconds:g} s that an episode may last"
    return why(error)


def _takes_seed(reset: Callable[..., Any]) -> bool:
    takes = inspect.signature(reset).parameters
    return "seed" in takes or any(each.kind is each.VAR_KEYWORD for each in takes.values())


async def _go_back(
    environment: "BaseHarness",
    episode: Episode | None,
    before: Mapping[str, Any] | None,
    status: HarnessStatus,
) -> None:
    """To the episode before one that could not begin."""
    if before is not None:
        put_back(environment, before)
    elif episode is not None and status is not HarnessStatus.ERROR:
        await undo(environment, episode, None)
    else:
        environment.status = status


async def _get_ready(environment: "BaseHarness", play: Play) -> None:
    if play.ready is None or play.closed:
        await _initialize(environment, lambda _: environment.initialize())
    if not play.ready:
        raise EnvironmentFailed(
            f"environment {environment.name!r} could not be initialised: its initialize() returned False"
        )


async def _step(
    environment: "BaseHarness",
    inner: Callable[..., Awaitable[ActionResult]],
    action: str,
    /,
    **parameters: Any,
) -> ActionResult:
    episode = episode_now(environment)
    try:
        episode = _going_on(environment, episode)
        checked = _checked(environment, episode, action, parameters)
    except _Refused as refusal:
        return _refusal(environment, episode, str(refusal))
    except BaseException as error:  # from `get_action_space`, or a schema of it
        if not is_failure(error):
            raise
        if episode is not None:
            episode.faults += 1
        return _refusal(environment, episode, _failure(environment, action, error))
    before = set_aside(environment)
    try:
        doing = inner(environment, action, **copied(checked))
        answer = await within(_time_left(environment, episode), doing, episode.now)
        result = as_earned(_of(ActionResult, "step", answer))
        check_rewards(result)
    except BaseException as error:  # a cancellation, too: half a step is undone
        await undo(environment, episode, before)
        if not is_failure(error):
            raise
        episode.faults += 1
        episode_now(environment)
        return _refusal(environment, episode, _failure(environment, action, error))
    if not result.success:
        await undo(environment, episode, before)
        return _refusal(environment, episode, result.error or f"action {action!r} was not taken", result)
    episode.taken.append(TakenAction(action, checked))
    return _counted(environment, episode, result)


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


def _checked(
    environment: "BaseHarness", episode: Episode, action: str, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    there: list[ActionDefinition] = episode.observation.available_actions or environment.get_action_space()
    found = next((each for each in there if each.name == action), None)
    if found is None:
        names = ", ".join(repr(each.name) for each in there) or "none"
        raise _Refused(f"there is no action {truncate(repr(action), 100)} now; there is: {names}")
    try:
        json.dumps(parameters, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise _Refused(f"the parameters of action {action!r} are no JSON values") from None
    try:
        return checked_parameters(found, parameters)
    except BadParameters as error:
        raise _Refused(str(error)) from None


def _time_left(environment: "BaseHarness", episode: Episode) -> float | None:
    limit = environment.timeout_seconds
    left = None if limit is None else max(limit - episode.seconds, 0.0)
    return min((each for each in (left, environment.step_timeout_seconds) if each is not None), default=None)


def _of(wanted: type[_Answer], method: str, answer: object) -> _Answer:
    if not isinstance(answer, wanted):
        raise TypeError(f"{method} returned {type(answer).__name__}, not {wanted.__name__}")
    return answer


def _counted(environment: "BaseHarness", episode: Episode, result: ActionResult) -> ActionResult:
    seen, reward = result.observation, result.reward
    episode.earned(reward, result.rewards)
    episode.note_drawing(environment.random)
    steps = environment.current_step = len(episode.taken)
    ended = seen.terminated or (environment.status is HarnessStatus.COMPLETED and not seen.truncated)
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
        observation=play_of(environment).newest.model_copy(update={"reward": None}, deep=True),
        error=truncate(why, 2000),
        metadata={} if result is None else result.metadata,
    )


def _failure(environment: "BaseHarness", action: str, error: BaseException) -> str:
    if isinstance(error, TookTooLong):
        return f"action {action!r} of {environment.name!r} took too long, and was undone"
    return f"action {action!r} failed inside environment {environment.name!r}: {why(error)}"


async def _get_observation(
    environment: "BaseHarness", inner: Callable[..., Awaitable[Observation]]
) -> Observation:
    seen = await inner(environment)
    episode = episode_now(environment)
    if episode is None or not isinstance(seen, Observation):
        return seen
    known = episode.observation
    flags = {name: getattr(known, name) for name in ("terminated", "truncated", "done")}
    return seen.model_copy(update=flags)


async def _shutdown(environment: "BaseHarness", inner: Callable[..., Awaitable[None]]) -> None:
    play = play_of(environment)
    if play.closed:
        return
    play.closed = True
    environment.status = HarnessStatus.SHUTDOWN
    await inner(environment)
    environment.status = HarnessStatus.SHUTDOWN


_GUARDS: Final[dict[str, Wrap]] = {
    "initialize": guarded(play_of, _initialize),
    "reset": guarded(play_of, _reset),
    "step": guarded(play_of, _step),
    "get_observation": guarded(play_of, _get_observation),
    "shutdown": guarded(play_of, _shutdown),
    "get_stats": _with_our_counts,
}
