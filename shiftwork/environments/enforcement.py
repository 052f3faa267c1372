"""The rules that the base class holds every environment to, as guards around what a subclass defines."""

import functools
import inspect
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from shiftwork.environments.episode import Episode, SeededRandom
from shiftwork.environments.failures import TookTooLong, is_failure, let_go, of_type, why, within
from shiftwork.environments.guarding import Wrap, another_call, guard_class, guarded
from shiftwork.environments.leaving import leave, not_undone, noted
from shiftwork.environments.play_state import Play, check_base, episode_now, play_of
from shiftwork.environments.protocol import HarnessStatus, Observation, as_it_is, own_copy
from shiftwork.environments.restoring import Snapshot
from shiftwork.environments.stepping import take_step
from shiftwork.environments.undoing import PutBack, copied, put_back, undo
from shiftwork.errors import EnvironmentFailed, InvalidInput

if TYPE_CHECKING:
    from shiftwork.environments.base import BaseHarness

__all__ = ["MOST_SEED", "Play", "episode_now", "guard_methods", "play_of"]

MOST_SEED: Final = 2**31 - 1
"""The largest that is drawn: it fits what every environment of the field takes."""


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
    before, was = noted(environment, play.episode), environment.status
    environment.random = SeededRandom(chosen)
    environment.current_step = 0
    try:
        answer = await within(environment.timeout_seconds, inner(environment, **options))
        first = as_it_is(of_type(Observation, "reset", answer))
        check_base(environment)
    except BaseException as error:  # a cancellation, too: the episode before goes on
        let_go(error)
        told = _why_none(environment, error) if is_failure(error) else ""
        undone = await leave(
            environment, play.episode, lambda: _go_back(environment, play.episode, before, was)
        )
        if not told:
            raise
        raise EnvironmentFailed(
            f"environment {environment.name!r} could not begin an episode: {told}"
            + not_undone(environment, was, undone=undone)
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
    before: Snapshot | None,
    status: HarnessStatus,
) -> None:
    """To the episode before one that could not begin."""
    if episode is not None and status is not HarnessStatus.ERROR:
        await undo(environment, episode, before)
    elif put_back(before) is PutBack.NOT:
        environment.status = status


async def _get_ready(environment: "BaseHarness", play: Play) -> None:
    if play.ready is None or play.closed:
        with another_call():
            await _initialize(environment, lambda _: environment.initialize())
    if not play.ready:
        raise EnvironmentFailed(
            f"environment {environment.name!r} could not be initialised: its initialize() returned False"
        )


async def _get_observation(
    environment: "BaseHarness", inner: Callable[..., Awaitable[Observation]]
) -> Observation:
    episode = episode_now(environment)
    before, was = noted(environment, episode), environment.status

    async def go_back() -> None:
        if episode is not None:
            await undo(environment, episode, before)
        else:
            put_back(before)

    try:
        limits = environment.timeout_seconds, environment.step_timeout_seconds
        most = min((each for each in limits if each is not None), default=None)
        seen = own_copy(of_type(Observation, "get_observation", await within(most, inner(environment))))
    except BaseException as error:  # a cancellation, too
        let_go(error)
        told = why(error) if is_failure(error) else ""
        undone = await leave(environment, episode, go_back)
        if not told:
            raise
        raise EnvironmentFailed(
            f"what environment {environment.name!r} shows now can't be handed out: {told}"
            + not_undone(environment, was, undone=undone)
        ) from error
    if (episode := episode_now(environment)) is None:
        return seen
    known = episode.observation
    return seen.model_copy(
        update={name: getattr(known, name) for name in ("terminated", "truncated", "done")}
    )


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
    "step": guarded(play_of, take_step),
    "get_observation": guarded(play_of, _get_observation),
    "shutdown": guarded(play_of, _shutdown),
    "get_stats": _with_our_counts,
}
