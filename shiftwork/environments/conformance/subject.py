"""The environment under test: fresh instances of it, calls that can't hang, and plays to compare."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.conformance.making import ByName
from shiftwork.environments.conformance.wording import RAISED, CallFailed, raised
from shiftwork.environments.failures import is_failure
from shiftwork.environments.policies import Policy
from shiftwork.environments.protocol import ActionResult, Observation
from shiftwork.environments.sampling import CannotSample
from shiftwork.environments.trajectory import Choice, Step
from shiftwork.errors import InvalidInput, ShiftworkError

_Answer = TypeVar("_Answer")


class NotChecked(Exception):  # noqa: N818 - the text says why
    """An environment can't be held against a rule."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen at one point of a play, to be compared with another play.

    Attributes:
        label: where: `reset`, or which step with which action.
        shown: all of it, as text.
        choice: what was done before it.
    """

    label: str
    shown: str
    choice: Choice | None = field(default=None, compare=False)


_CUT_BY_THE_CLOCK: Final = Seen("the end of its time", "")
"""In a play that the episode's `timeout_seconds` cut short: what follows can't be compared."""


_ONCE_HUNG: Final = 1.0
"""Seconds for the end of an environment of which a call hung: the fault was told."""


@dataclass(slots=True)
class Subject:
    """An environment under test.

    Attributes:
        make: makes another, as it was when it was given.
        player: what plays; the same choices in the same places.
        seed: of the episodes that are compared.
        episodes: how many are watched.
        steps: how many actions each has at most.
        call_seconds: how long one call may take.
        block_seconds: how long the event loop may be kept from everybody else.
        shared: why instances are not made anew, where they can't be.
        by_name: how another process makes one; None: it can't.
        on_call: is told of each call before it is made.
        doing: the newest call.
        hung: the first call that did not answer, and that it did not.
        notes: a sentence on what could not be checked.
    """

    name: str
    make: Callable[[], BaseHarness]
    player: Policy
    seed: int
    episodes: int
    steps: int
    call_seconds: float
    block_seconds: float
    shared: str | None = None
    by_name: ByName | None = None
    on_call: Callable[[str], None] = lambda _: None
    notes: list[str] = field(default_factory=list)
    kept: dict[str, Any] = field(default_factory=dict)
    made: list[BaseHarness] = field(default_factory=list)
    doing: str = ""
    hung: str = ""

    def fresh(self, *, alone: bool = False) -> BaseHarness:
        """Another instance, ended with the test.

        Args:
            alone: the rule makes no sense with an instance that others use.

        Raises:
            NotChecked: it has to be alone, and none can be made.
            InvalidInput: what should make one raises, or makes something else.
        """
        if self.shared and alone:
            raise NotChecked(self.shared)
        self.tell("making an instance")
        try:
            made: object = self.make()
        except ShiftworkError:
            raise
        except RAISED as error:
            raise InvalidInput(
                f"what should make the environment {raised(error)}; give an instance, or a function that "
                "takes nothing and returns one"
            ) from error
        if not isinstance(made, BaseHarness):
            raise InvalidInput(
                f"what should make the environment returned a {type(made).__name__}, which is no "
                "environment; let it return a BaseHarness"
            )
        if all(made is not each for each in self.made):
            self.made.append(made)
        return made

    async def within(self, call: Coroutine[Any, Any, _Answer], label: str = "") -> _Answer:
        """Wait for a call, but not for ever.

        Args:
            label: which call, where its name alone does not tell.

        Raises:
            CallFailed: it took longer than `call_seconds`, or was given up by itself.
        """
        label = label or f"{getattr(call, '__name__', 'a call')}()"
        self.tell(label)
        limit = asyncio.timeout(self.call_seconds)
        try:
            async with limit:
                answer = await call
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise self._hung(label) from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise CallFailed(label, "raised CancelledError, though nobody cancelled it") from error
        except BaseException as error:  # whatever people's code raises
            if isinstance(error, RAISED):
                raise
            if is_failure(error):
                raise CallFailed(label, raised(error)) from error
            self.on_call = lambda _: None  # that it was this call is known, whatever else ends with it
            raise
        if limit.expired():  # it was cancelled, and went on
            raise self._hung(label)
        return answer

    def _hung(self, label: str) -> CallFailed:
        why = f"did not answer in time ({self.call_seconds:g} s)"
        self.hung = self.hung or f"{label} {why}"
        return CallFailed(label, why, hung=True)

    def tell(self, call: str) -> None:
        """Say what is called now."""
        self.doing = call
        self.on_call(call)

    async def begin(self, environment: BaseHarness, seed: int | None = None) -> Observation:
        """Reset; None: with the seed of the test."""
        chosen = self.seed if seed is None else seed
        call: Any = environment.reset
        seen: Observation = await self.within(call(seed=chosen), f"reset(seed={chosen})")
        return seen

    async def step(self, environment: BaseHarness, choice: Choice, where: str = "") -> ActionResult:
        """Take an action.

        Args:
            where: which step, where it is one of an episode that is watched.
        """
        call: Coroutine[Any, Any, ActionResult] = environment.step(choice.action, **choice.parameters)
        return await self.within(call, where or f"step({choice.action!r})")

    async def choose(
        self, environment: BaseHarness, seen: Observation, history: Sequence[Step]
    ) -> Choice | None:
        """What the player does now; an action whose parameters can't be drawn is not played with."""
        there = list(seen.available_actions or environment.get_action_space())
        while there:
            try:
                return await self.player.act(seen.model_copy(update={"available_actions": there}), history)
            except CannotSample as error:
                self.note(f"an action was not played with: {error}")
                left = [each for each in there if repr(each.name) not in str(error)]
                there = left if len(left) < len(there) else []
        return None

    async def trace(
        self,
        environment: BaseHarness,
        seed: int | None = None,
        *,
        most: int | None = None,
        between: Callable[[Choice], Awaitable[None]] | None = None,
    ) -> list[Seen]:
        """Play an episode and say what was seen.

        Args:
            between: called before each step.
        """
        seen = await self.begin(environment, seed)
        trace = [Seen("reset", shown_of(environment, seen))]
        history: list[Step] = []
        while len(history) < (self.steps if most is None else most) and not seen.done:
            choice = await self.choose(environment, seen, history)
            if choice is None:
                break
            if between is not None:
                await between(choice)
            label = f"step {len(history) + 1}, action {choice.action!r}"
            result = await self.step(environment, choice, label)
            seen = result.observation
            if not result.success and seen.truncated:
                break
            history.append(step_of(choice, result))
            trace.append(Seen(label, shown_of(environment, seen, result), choice))
        if seen.truncated and time_is_up(environment):
            trace.append(_CUT_BY_THE_CLOCK)
        return trace

    async def reference(self) -> list[Seen]:
        """The trace of a fresh instance, which others are compared with."""
        if "reference" not in self.kept:
            environment = self.fresh()
            self.kept["reference"] = await self.trace(environment)
            self.kept["marked"] = environment.get_stats().reproducible
        found: list[Seen] = self.kept["reference"]
        return found

    def note(self, sentence: str) -> None:
        """Remember what could not be checked, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    async def close(self) -> None:
        """End every instance; what that raises was told by the rule on `shutdown`."""
        await asyncio.gather(*map(self._end, self.made))

    async def _end(self, environment: BaseHarness) -> None:
        try:
            async with asyncio.timeout(_ONCE_HUNG if self.hung else None):
                await self.within(environment.shutdown())
        except RAISED as error:
            self.note(f"shutdown() {raised(error)}")


def time_is_up(environment: BaseHarness) -> bool:
    """Whether the clock cuts the episode short, whatever is done in it."""
    limit = environment.timeout_seconds
    return limit is not None and environment.get_stats().duration_seconds >= limit


def step_of(choice: Choice, result: ActionResult) -> Step:
    """What a player is told of a step; nothing of it is judged here."""
    return Step.model_construct(
        number=0, action=choice.action, success=result.success, error=result.error, observation=""
    )


def steps_untold(number: int) -> tuple[Step, ...]:
    """So many steps, of which a player is told nothing but that they were."""
    return (Step.model_construct(number=0, action="", observation=""),) * number


def shown_of(environment: BaseHarness, seen: Observation, result: ActionResult | None = None) -> str:
    """All that a player can see, but what a clock decides."""
    shown: dict[str, Any] = seen.model_dump(exclude={"truncated", "done"}, warnings=False)
    if result is not None:
        shown["of the step"] = [result.success, result.reward, result.rewards, result.error, result.metadata]
    shown["is_success()"] = environment.is_success()
    return frozen(shown)


def frozen(value: Any) -> str:
    """A value as text that does not change any more."""
    return json.dumps(value, sort_keys=True, default=repr)


def unlike(one: Sequence[Seen], other: Sequence[Seen]) -> str | None:
    """Where two plays differ first; None where they don't, as far as the clock let them go on."""
    for first, second in zip(one, other, strict=False):
        if _CUT_BY_THE_CLOCK in (first, second):
            return None
        if first != second:
            return first.label
    if len(one) == len(other) or _CUT_BY_THE_CLOCK in (*one[-1:], *other[-1:]):
        return None
    return "its end"
