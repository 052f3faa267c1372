"""The environment under test: fresh instances of it, calls that can't hang, and plays to compare."""

import asyncio
import copy
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.conformance.holding import changed, hold
from shiftwork.environments.conformance.wording import raised
from shiftwork.environments.policies import Policy
from shiftwork.environments.protocol import ActionResult, Observation
from shiftwork.environments.sampling import CannotSample
from shiftwork.environments.trajectory import Choice, Step
from shiftwork.errors import InvalidInput

_Answer = TypeVar("_Answer")


class NotChecked(Exception):  # noqa: N818 - the text says why
    """An environment can't be held against a rule."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen at one point of a play, to be compared with another play.

    Attributes:
        label: where: `reset`, or which step with which action.
        shown: all of it, as text.
    """

    label: str
    shown: str


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
    notes: list[str] = field(default_factory=list)
    kept: dict[str, Any] = field(default_factory=dict)
    made: list[BaseHarness] = field(default_factory=list)

    def fresh(self, *, alone: bool = False) -> BaseHarness:
        """Another instance, ended with the test.

        Args:
            alone: the rule makes no sense with an instance that others use.

        Raises:
            NotChecked: it has to be alone, and none can be made.
        """
        if self.shared and alone:
            raise NotChecked(self.shared)
        made = self.make()
        if all(made is not each for each in self.made):
            self.made.append(made)
        return made

    async def within(self, call: Awaitable[_Answer]) -> _Answer:
        """Wait for a call, but not for ever.

        Raises:
            TimeoutError: it took longer than `call_seconds`.
        """
        async with asyncio.timeout(self.call_seconds):
            return await call

    async def begin(self, environment: BaseHarness, seed: int | None = None) -> Observation:
        """Reset; None: with the seed of the test."""
        chosen: Any = {"seed": self.seed if seed is None else seed}
        return await self.within(environment.reset(**chosen))

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
            result = await self.within(environment.step(choice.action, **choice.parameters))
            history.append(step_of(choice, result))
            seen = result.observation
            label = f"step {len(history)}, action {choice.action!r}"
            trace.append(Seen(label, shown_of(environment, seen, result)))
        return trace

    async def reference(self) -> list[Seen]:
        """The trace of a fresh instance, which others are compared with."""
        if "reference" not in self.kept:
            self.kept["reference"] = await self.trace(self.fresh())
        found: list[Seen] = self.kept["reference"]
        return found

    def note(self, sentence: str) -> None:
        """Remember what could not be checked, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    async def close(self) -> None:
        """End every instance; what that raises was told by the rule on `shutdown`."""
        for each in self.made:
            try:
                await self.within(each.shutdown())
            except Exception as error:  # noqa: BLE001 - whatever foreign code raises
                self.note(f"shutdown() {raised(error)}")


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
    """Where two plays differ first; None where they don't."""
    for first, second in zip(one, other, strict=False):
        if first != second:
            return first.label
    return None if len(one) == len(other) else "its end"


def maker(
    environment: BaseHarness | Callable[[], BaseHarness],
) -> tuple[Callable[[], BaseHarness], str | None]:
    """What makes fresh instances, and why it can't if it can't.

    Raises:
        InvalidInput: it is no environment, and makes none.
    """
    if not isinstance(environment, BaseHarness):
        if not callable(environment):
            raise InvalidInput(f"{environment!r} is no environment; give a BaseHarness, or what makes one")
        return environment, None
    try:
        another = type(environment)()  # type: ignore[call-arg] # whether it takes none is what is tried
    except Exception:  # noqa: BLE001 - whatever foreign code raises
        another = None
    if type(another) is type(environment) and changed(environment, hold(another)) is None:
        return type(environment), None
    try:
        pristine = copy.deepcopy(environment)
        copy.deepcopy(pristine)
    except Exception:  # noqa: BLE001 - whatever foreign code raises
        reason = "the instance can't be copied, so no fresh one could be made; give check_harness its class"
        return lambda: environment, reason
    return lambda: copy.deepcopy(pristine), None
