"""Our observations and actions as values of Gymnasium's spaces."""

import json
import operator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from pydantic import ValidationError

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.bridges.choices import enumerated, key_of, numbers_of
from shiftwork.environments.protocol import ActionDefinition, Observation
from shiftwork.environments.trajectory import Choice
from shiftwork.text import truncate

MOST_TEXT: Final = 20_000
"""Characters of an observation, or an action."""

_SAMPLED: Final = "".join(map(chr, range(32, 127))) + "\n"


class AnyText(spaces.Text):
    """Text with any characters; what is sampled has ordinary ones only."""

    def __init__(self, max_length: int = MOST_TEXT) -> None:
        super().__init__(max_length, min_length=0, charset=_SAMPLED)

    def contains(self, x: Any) -> bool:
        """Whether it is a text, and not too long."""
        return isinstance(x, str) and len(x) <= self.max_length


class NotAChoice(ValueError):  # noqa: N818 - the text says why
    """An action that is none."""


class Numbered:
    """The actions of an environment as a space.

    Attributes:
        choices: what each number of a `Discrete` space means; empty where actions have to be written as JSON,
            as `{"action": …, "parameters": {…}}`.
        space: the action space.
    """

    def __init__(self, harness: BaseHarness) -> None:
        self._harness = harness
        self.choices = enumerated(harness.get_action_space()) or ()
        self._numbers = numbers_of(self.choices)
        self.space: spaces.Space[Any] = spaces.Discrete(len(self.choices)) if self.choices else AnyText()

    def choice(self, action: Any) -> Choice:
        """What an action of the space means.

        Raises:
            NotAChoice: nothing.
        """
        if self.choices:
            number = _whole(action)
            if number is None:
                told = truncate(repr(action), 80)
                raise NotAChoice(f"{told} is no action; give a number from 0 to {len(self.choices) - 1}")
            if not 0 <= number < len(self.choices):
                raise NotAChoice(f"there is no action {number}; there are 0 to {len(self.choices) - 1}")
            return self.choices[number]
        try:
            return Choice.model_validate(json.loads(action))
        except (ValidationError, ValueError, TypeError, RecursionError):
            told = truncate(repr(action), 80)
            raise NotAChoice(
                f'{told} is no action; write it as JSON: {{"action": NAME, "parameters": {{…}}}}'
            ) from None

    def mask(self, seen: Observation) -> npt.NDArray[np.int8]:
        """Which numbers may be chosen now: 1, and 0 which may not."""
        mask = np.zeros(len(self.choices), np.int8)
        if seen.done:
            return mask
        for choice in self._available(seen):
            number = self._numbers.get(key_of(choice))
            if number is not None:
                mask[number] = 1
        return mask

    def _available(self, seen: Observation) -> tuple[Choice, ...]:
        there: list[ActionDefinition] = seen.available_actions or self._harness.get_action_space()
        return enumerated(there) or self.choices


def _whole(action: Any) -> int | None:
    """What is a whole number by its type, those of NumPy included."""
    try:
        return operator.index(action)
    except TypeError:
        return None


def text_of(seen: Observation) -> str:
    """An observation as a text: its content, or that as JSON; nothing for a picture."""
    if seen.content_type == "image":
        return ""
    if isinstance(seen.content, str):
        return truncate(seen.content, MOST_TEXT)
    return truncate(json.dumps(seen.content, sort_keys=True, ensure_ascii=False), MOST_TEXT)


def info_of(seen: Observation, error: str | None = None) -> dict[str, Any]:
    """What else is told of an observation: all of it, and why the last action was not taken."""
    return {
        "content": seen.model_dump(mode="json", include={"content"})["content"],
        "content_type": seen.content_type,
        "metadata": seen.model_dump(mode="json", include={"metadata"})["metadata"],
        "available_actions": [each.model_dump(mode="json") for each in seen.available_actions],
        "agent": seen.agent,
        "error": error,
    }
