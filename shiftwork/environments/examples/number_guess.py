"""Find a number by questions that are answered with higher or lower."""

import math
from typing import Any, Final

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.protocol import ActionDefinition, ActionResult, Observation
from shiftwork.errors import InvalidInput

COST: Final = 0.1
"""What each guess costs."""

_SPARE: Final = 3
"""Guesses beyond the fewest that always suffice, unless `max_steps` says otherwise."""


class NumberGuessHarness(BaseHarness):
    """A number is to be found; each wrong guess is told to be too low or too high.

    A guess earns the share of the uncertainty that it takes away, measured in bits, finding the number 1
    more, and each guess costs `COST`: what halves the numbers that are left earns most on average.

    Args:
        low, high: the number lies between these, both included.
        max_steps: how many guesses there are; None: three more than always suffice.

    Attributes:
        optimum: guesses that always suffice.

    Raises:
        InvalidInput: there is no number between them.
    """

    name = "number_guess"

    def __init__(self, low: int = 1, high: int = 100, max_steps: int | None = None) -> None:
        if any(isinstance(end, bool) or not isinstance(end, int) for end in (low, high)) or low > high:
            raise InvalidInput(
                f"the numbers to guess go from {low!r} to {high!r}; give integers, the lower one first"
            )
        self.low, self.high = low, high
        self.optimum = (high - low + 1).bit_length()
        super().__init__(
            self.name,
            f"Find the number from {low} to {high}; each guess is answered with higher or lower.",
            max_steps=self.optimum + _SPARE if max_steps is None else max_steps,
        )
        self.number = low
        self.guesses: list[int] = []
        self.least, self.most = low, high

    async def reset(self, seed: int | None = None) -> Observation:  # noqa: ARG002 - `self.random` has it
        """Choose a number."""
        self.number = self.random.randint(self.low, self.high)
        self.guesses = []
        self.least, self.most = self.low, self.high
        return await self.get_observation()

    async def step(self, action: str, **parameters: Any) -> ActionResult:  # noqa: ARG002 - there is one
        """Guess."""
        guess = int(parameters["number"])
        before = self._bits
        self.guesses.append(guess)
        if guess == self.number:
            self.least = self.most = guess
        elif guess < self.number:
            self.least = max(self.least, guess + 1)
        else:
            self.most = min(self.most, guess - 1)
        share = (before - self._bits) / self._all_bits if self._all_bits else 0.0
        reward = share + float(self.is_success()) - COST
        return ActionResult(observation=await self.get_observation(), reward=reward)

    def get_action_space(self) -> list[ActionDefinition]:
        """One action."""
        number = {
            "type": "integer",
            "minimum": self.low,
            "maximum": self.high,
            "description": f"A whole number from {self.low} to {self.high}",
        }
        return [ActionDefinition(name="guess", description="Guess the number", parameters={"number": number})]

    async def get_observation(self) -> Observation:
        """The answer to the last guess, and what is known by now."""
        found = self.is_success()
        return Observation(
            content=" ".join(self._told()),
            available_actions=[] if found else self.get_action_space(),
            metadata={
                "low": self.low,
                "high": self.high,
                "least": self.least,
                "most": self.most,
                "guesses": list(self.guesses),
                "guesses_left": self._left,
            },
            terminated=found,
        )

    def is_success(self) -> bool:
        """Whether the number was found."""
        return bool(self.guesses) and self.guesses[-1] == self.number

    @property
    def _bits(self) -> float:
        return math.log2(self.most - self.least + 1)

    @property
    def _all_bits(self) -> float:
        return math.log2(self.high - self.low + 1)

    @property
    def _left(self) -> int | None:
        return None if self.max_steps is None else max(self.max_steps - len(self.guesses), 0)

    def _told(self) -> list[str]:
        many = f"{len(self.guesses)} guess{'es' if len(self.guesses) > 1 else ''}"
        if self.is_success():
            return [f"{self.number} is right! You found it with {many} ({self.optimum} always suffice)."]
        if not self.guesses:
            said = [f"I am thinking of a whole number from {self.low} to {self.high}."]
        else:
            last = self.guesses[-1]
            higher = last < self.number
            said = [f"{last} is too {'low: go higher' if higher else 'high: go lower'}."]
        if self._left == 0:
            return [*said, f"No guess is left; it was {self.number}."]
        if self.guesses:
            said.append(f"By your {many}, it is from {self.least} to {self.most}.")
        return [*said, f"Guesses left: {self._left}."]
