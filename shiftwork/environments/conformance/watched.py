"""Plays of which everything is looked at after each step; most rules judge what was seen there."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Self

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.conformance.holding import changed, hold
from shiftwork.environments.conformance.subject import Subject, frozen, step_of
from shiftwork.environments.conformance.wording import RAISED, CallFailed, raised
from shiftwork.environments.protocol import ActionResult, EpisodeStats, HarnessStatus, Observation
from shiftwork.environments.trajectory import Step

READING: Final = ("get_observation", "get_action_space", "is_done", "is_success", "get_stats")
"""Methods that tell something and change nothing."""


@dataclass(slots=True)
class Moment:
    """What was found after a reset or a step.

    Attributes:
        label: where.
        observation: as it was handed out, and `shown` what it was then.
        result: of the step; None after a reset.
        steps: actions that were taken until then; `reward` is what they earned.
        blocked: seconds for which the event loop was kept.
        took: seconds until the call returned.
        status: of the environment.
        answers: what each method of `READING` said.
        raised: which of them raised, and what.
        changes: which of them changed what the environment holds, and where.
    """

    label: str
    observation: Observation
    shown: str
    result: ActionResult | None
    steps: int
    reward: float
    blocked: float
    took: float
    status: HarnessStatus
    answers: dict[str, Any] = field(default_factory=dict)
    raised: dict[str, str] = field(default_factory=dict)
    changes: dict[str, str] = field(default_factory=dict)

    @property
    def observed(self) -> Observation | None:
        """What `get_observation` said."""
        said = self.answers.get("get_observation")
        return said if isinstance(said, Observation) else None

    @property
    def stats(self) -> EpisodeStats | None:
        """What `get_stats` said."""
        said = self.answers.get("get_stats")
        return said if isinstance(said, EpisodeStats) else None


class LoopWatch:
    """How long the event loop was kept from everybody else, at worst."""

    _PERIOD = 0.01

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._tick())
        self.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    def begin(self) -> None:
        """Forget what was before."""
        self._worst, self._last = 0.0, time.monotonic()
        self._began = self._last

    @property
    def seconds(self) -> float:
        """Since `begin`."""
        return time.monotonic() - self._began

    @property
    def worst(self) -> float:
        """Seconds."""
        return max(self._worst, time.monotonic() - self._last)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._PERIOD)
            self._worst, self._last = self.worst, time.monotonic()


async def episodes_of(subject: Subject) -> list[list[Moment]]:
    """The episodes that are watched, each with its own seed; played once for all rules.

    Raises:
        CallFailed: one could not be played to its end; which call failed, and how.
    """
    if "watched" not in subject.kept:
        subject.kept["watched"] = await _watched(subject)
    found: list[list[Moment]] | CallFailed = subject.kept["watched"]
    if isinstance(found, CallFailed):
        raise found
    return found


async def _watched(subject: Subject) -> list[list[Moment]] | CallFailed:
    environment = subject.fresh()
    episodes: list[list[Moment]] = []
    try:
        async with LoopWatch() as watch:
            for number in range(subject.episodes):
                episodes.append(await _episode(subject, environment, watch, subject.seed + number))
                if _keeps_the_loop(subject, [each for episode in episodes for each in episode]):
                    break
    except CallFailed as failure:
        return failure
    except RAISED as error:
        return CallFailed(subject.doing, raised(error))
    return episodes


def _keeps_the_loop(subject: Subject, moments: list[Moment]) -> bool:
    """Whether it is known by now that the loop is kept, so that nobody has to wait for more of it."""
    slow = [each for each in moments if each.blocked > subject.block_seconds]
    return max(sum(each.result is None for each in slow), sum(each.result is not None for each in slow)) > 1


async def moments_of(subject: Subject) -> list[Moment]:
    """Every moment of every episode that is watched."""
    return [moment for episode in await episodes_of(subject) for moment in episode]


async def _episode(subject: Subject, environment: BaseHarness, watch: LoopWatch, seed: int) -> list[Moment]:
    watch.begin()
    seen = await subject.begin(environment, seed)
    moments = [_moment(f"reset(seed={seed})", environment, seen, watch)]
    await _read(subject, environment, moments[-1])
    history: list[Step] = []
    while len(history) < subject.steps and not seen.done and not _keeps_the_loop(subject, moments):
        choice = await subject.choose(environment, seen, history)
        if choice is None:
            break
        label = f"step {len(history) + 1} of the episode of seed {seed}, action {choice.action!r}"
        watch.begin()
        result = await subject.step(environment, choice, label)
        moment = _moment(label, environment, result.observation, watch)
        history.append(step_of(choice, result))
        seen = result.observation
        moments.append(_after_step(moment, result, moments[-1]))
        await _read(subject, environment, moments[-1])
    return moments


def _moment(label: str, environment: BaseHarness, seen: Observation, watch: LoopWatch) -> Moment:
    return Moment(
        label=label,
        blocked=watch.worst,
        took=watch.seconds,
        observation=seen,
        shown=frozen(seen.model_dump(warnings=False)),
        result=None,
        steps=0,
        reward=0.0,
        status=environment.status,
    )


def _after_step(moment: Moment, result: ActionResult, before: Moment) -> Moment:
    moment.result = result
    moment.steps = before.steps + result.success
    moment.reward = before.reward + (result.reward if result.success else 0.0)
    return moment


async def _read(subject: Subject, environment: BaseHarness, moment: Moment) -> None:
    before = hold(environment)
    for name in READING:
        method: Callable[[], Any] = getattr(environment, name)
        label = f"{name}() after {moment.label}"
        subject.tell(label)
        try:
            said = method()
            moment.answers[name] = await subject.within(said, label) if name == "get_observation" else said
        except RAISED as error:
            if isinstance(error, CallFailed) and error.hung:
                raise
            moment.raised[name] = raised(error)
        where = changed(environment, before)
        if where is not None:
            moment.changes[name] = where
            before = hold(environment)
