"""The rules that the base class holds every environment to, as guards around what a subclass defines."""

import asyncio
import functools
import inspect
import json
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from shiftwork.environments.episode import Episode, TakenAction
from shiftwork.environments.parameters import BadParameters, checked_parameters
from shiftwork.environments.protocol import ActionDefinition, ActionResult, HarnessStatus, Observation
from shiftwork.environments.undoing import put_back, set_aside, undo
from shiftwork.errors import EnvironmentFailed, InvalidInput
from shiftwork.text import truncate

if TYPE_CHECKING:
    from shiftwork.environments.base import BaseHarness

MOST_SEED: Final = 2**31 - 1
"""The largest that is drawn: it fits what every environment of the field takes."""

_Answer = TypeVar("_Answer")

_inside: ContextVar[frozenset[int]] = ContextVar("inside", default=frozenset())
"""The environments whose guarded method is running: what that calls of it, `super()` too, is not guarded."""


@dataclass(slots=True)
class Play:
    """What is kept beside an environment's own state.

    Attributes:
        episode: the one that goes on, or the last; None before the first.
        episodes: how many were begun.
        ready: what `initialize` said; None before it was asked.
        lock: one guarded method at a time.
    """

    episode: Episode | None = None
    episodes: int = 0
    ready: bool | None = None
    closed: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def newest(self) -> Observation:
        """The newest observation; an empty one before the first."""
        return Observation() if self.episode is None else self.episode.observation


def play_of(environment: "BaseHarness") -> Play:
    """What is kept beside it; made at the first use, as not every subclass calls `super().__init__`."""
    play: Play | None = vars(environment).get("_play")
    if play is None:
        play = vars(environment)["_play"] = Play()
    return play


class _Refused(Exception):  # noqa: N818 - an action that is not taken; the text says why
    pass


def guard_methods(cls: type["BaseHarness"]) -> None:
    """Put the guards around what a class itself defines."""
    for name, guard in _GUARDS.items():
        if name in vars(cls):
            setattr(cls, name, _guarded(vars(cls)[name], guard))
    if "get_stats" in vars(cls):
        cls.get_stats = _with_our_counts(vars(cls)["get_stats"])  # type: ignore[method-assign]


def _guarded(
    inner: Callable[..., Awaitable[Any]], guard: Callable[..., Awaitable[Any]]
) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(inner)
    # By position alone: parameters of actions may have any name.
    async def outer(self: "BaseHarness", /, *arguments: Any, **options: Any) -> Any:
        if id(self) in _inside.get():
            return await inner(self, *arguments, **options)
        async with play_of(self).lock:
            token = _inside.set(_inside.get() | {id(self)})
            try:
                return await guard(self, inner, *arguments, **options)
            finally:
                _inside.reset(token)

    return outer


def _with_our_counts(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    def outer(self: "BaseHarness") -> Any:
        said = inner(self)
        episode = play_of(self).episode
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
    except Exception as error:  # whatever people's code raises
        environment.status = HarnessStatus.ERROR
        raise EnvironmentFailed(
            f"environment {environment.name!r} could not be initialised: {_why(error)}"
        ) from error
    if not play.ready:
        environment.status = HarnessStatus.ERROR
    return play.ready


async def _reset(
    environment: "BaseHarness",
    inner: Callable[..., Awaitable[Observation]],
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
    takes = inspect.signature(inner).parameters
    seeded = "seed" in takes or any(p.kind is p.VAR_KEYWORD for p in takes.values())
    if seeded:
        options["seed"] = chosen
    before = set_aside(environment)
    environment.random = random.Random(chosen)  # noqa: S311 - a reproducible game, not a secret
    environment.current_step = 0
    try:
        async with asyncio.timeout(environment.timeout_seconds):
            first = _of(Observation, "reset", await inner(environment, **options))
    except BaseException as error:  # a cancellation, too: the episode before goes on
        if before is not None:
            put_back(environment, before)
        if not isinstance(error, Exception):
            raise
        raise EnvironmentFailed(
            f"environment {environment.name!r} could not begin an episode: {_why(error)}"
        ) from error
    play.episodes += 1
    play.episode = Episode(play.episodes, chosen, seeded, Observation())
    play.episode.began = play.episode.now()
    environment.current_step = 0
    shown = play.episode.show(first)
    environment.status = HarnessStatus.COMPLETED if shown.done else HarnessStatus.ACTIVE
    return shown


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
    play = play_of(environment)
    episode = play.episode
    try:
        episode = _going_on(environment, play)
        checked = _checked(environment, episode, action, parameters)
    except _Refused as refusal:
        return _refusal(environment, episode, str(refusal))
    before = set_aside(environment)
    try:
        result = await _within_its_time(environment, episode, inner(environment, action, **checked))
        _of(ActionResult, "step", result)
    except BaseException as error:  # a cancellation, too: half a step is undone
        await undo(environment, episode, before)
        if not isinstance(error, Exception | SystemExit):
            raise
        if _time_is_up(environment, episode):
            _cut_short(environment, episode)
        return _refusal(environment, episode, _failure(environment, action, error))
    if not result.success:
        await undo(environment, episode, before)
        return _refusal(environment, episode, result.error or f"action {action!r} was not taken", result)
    episode.taken.append(TakenAction(action, checked))
    return _counted(environment, episode, result)


def _going_on(environment: "BaseHarness", play: Play) -> Episode:
    if play.closed:
        raise _Refused(f"environment {environment.name!r} was shut down; make another one")
    if play.episode is None:
        raise _Refused(f"no episode of {environment.name!r} was begun; call reset first")
    if not play.episode.observation.done and _time_is_up(environment, play.episode):
        _cut_short(environment, play.episode)
    if play.episode.observation.done:
        how = "terminated" if play.episode.observation.terminated else "was cut short"
        raise _Refused(
            f"the episode of {environment.name!r} {how} after {len(play.episode.taken)} steps; "
            "call reset to begin another"
        )
    if environment.status is HarnessStatus.ERROR:
        raise _Refused(
            f"environment {environment.name!r} is broken: a failed action could not be undone; call reset"
        )
    return play.episode


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
        return checked_parameters(found, parameters)
    except BadParameters as error:
        raise _Refused(str(error)) from None
    except (TypeError, ValueError, RecursionError):
        raise _Refused(f"the parameters of action {action!r} are no JSON values") from None


async def _within_its_time(
    environment: "BaseHarness", episode: Episode, step: Awaitable[ActionResult]
) -> ActionResult:
    limit = environment.timeout_seconds
    left = None if limit is None else max(limit - episode.seconds, 0.0)
    one = environment.step_timeout_seconds
    most = min((each for each in (left, one) if each is not None), default=None)
    began = episode.now()
    async with asyncio.timeout(most):
        result = await step
    if most is not None and episode.now() - began > most:
        raise TimeoutError  # it did not wait for anything, and could not be interrupted
    return result


def _of(wanted: type[_Answer], method: str, answer: object) -> _Answer:
    if not isinstance(answer, wanted):
        raise TypeError(f"{method} returned {type(answer).__name__}, not {wanted.__name__}")
    return answer


def _counted(environment: "BaseHarness", episode: Episode, result: ActionResult) -> ActionResult:
    seen = result.observation
    said = "reward" in result.model_fields_set or seen.reward is None
    reward = result.reward if said else (seen.reward or 0.0)
    episode.earned(reward, result.rewards)
    steps = environment.current_step = len(episode.taken)
    ended = seen.terminated or (environment.status is HarnessStatus.COMPLETED and not seen.truncated)
    over = environment.max_steps is not None and steps >= environment.max_steps
    cut = seen.truncated or (not ended and (over or _time_is_up(environment, episode)))
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


def _time_is_up(environment: "BaseHarness", episode: Episode) -> bool:
    return environment.timeout_seconds is not None and episode.seconds >= environment.timeout_seconds


def _cut_short(environment: "BaseHarness", episode: Episode) -> None:
    episode.show(episode.observation.model_copy(update={"truncated": True}))
    environment.status = HarnessStatus.COMPLETED


def _failure(environment: "BaseHarness", action: str, error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"action {action!r} of {environment.name!r} took too long, and was undone"
    return f"action {action!r} failed inside environment {environment.name!r}: {_why(error)}"


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    text = truncate(str(error), 300)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


async def _get_observation(
    environment: "BaseHarness", inner: Callable[..., Awaitable[Observation]]
) -> Observation:
    seen = await inner(environment)
    episode = play_of(environment).episode
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


_GUARDS: Final[dict[str, Callable[..., Awaitable[Any]]]] = {
    "initialize": _initialize,
    "reset": _reset,
    "step": _step,
    "get_observation": _get_observation,
    "shutdown": _shutdown,
}
