"""What a problem to solve in Python consists of."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from shiftwork.environments.sharing import NeverChanges

Difficulty = Literal["easy", "medium", "hard"]
Arguments = tuple[Any, ...]


@dataclass(frozen=True)
class Case:
    """What a function is called with, and what it should return."""

    arguments: Arguments
    expected: Any


@dataclass(frozen=True)
class Hidden:
    """Hidden tests of inputs and outputs, drawn anew for each episode.

    Attributes:
        reference: what the outputs are taken from; it runs here, and nowhere else.
        draw: inputs, of which some are always the same.
    """

    reference: Callable[..., Any]
    draw: Callable[[random.Random], Sequence[Arguments]]

    def cases(self, chance: random.Random) -> tuple[Case, ...]:
        """The tests of one episode."""
        return tuple(Case(given, self.reference(*given)) for given in self.draw(chance))


@dataclass(frozen=True)
class Asserts:
    """Hidden tests as code: a function `check(candidate)` that asserts.

    Attributes:
        reference: a solution, and whatever the test uses beside.
        test: the code that defines `check`.
    """

    reference: str
    test: str


@dataclass(frozen=True)
class Problem(NeverChanges):
    """A function to write.

    Attributes:
        text: what it is to do.
        function: its name.
        examples: shown to whoever solves it.
        hidden: never shown.
        before: code that comes before the solution.
    """

    name: str
    difficulty: Difficulty | None
    text: str
    function: str
    examples: tuple[Case, ...]
    hidden: Hidden | Asserts
    before: str = ""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


def same(expected: Any, answer: Any) -> bool:
    """Whether an answer is the one expected: true is not 1, a tuple counts as a list, floats nearly equal."""
    if isinstance(expected, bool) or isinstance(answer, bool) or expected is None:
        return type(expected) is type(answer) and expected == answer
    if isinstance(expected, float):
        near = 1e-9 * max(1.0, abs(expected))
        return isinstance(answer, int | float) and abs(expected - answer) <= near
    if isinstance(expected, list | tuple):
        return (
            isinstance(answer, list | tuple)
            and len(expected) == len(answer)
            and all(map(same, expected, answer))
        )
    if isinstance(expected, dict):
        return (
            isinstance(answer, dict)
            and expected.keys() == answer.keys()
            and all(same(value, answer[key]) for key, value in expected.items())
        )
    return bool(expected == answer)
