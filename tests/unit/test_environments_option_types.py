"""What environments are made with, held against the types that their authors wrote."""

import functools
from typing import Any, Literal, Optional

import pytest

from shiftwork.environments.option_types import check_option_types
from shiftwork.errors import InvalidInput


class Pile:
    def __init__(
        self,
        *,
        largest: int = 3,
        share: float = 0.5,
        open_: bool = False,
        title: str = "",
        mode: Literal["calm", "wild", 3] = "calm",
        limit: Optional[int] = None,  # noqa: UP045 - as many write it
        either: "int | str" = 1,
        rows: list[int] | None = None,
        anything: Any = None,
        untold=None,
    ): ...


def of_what_is_nowhere(size: "Nowhere", rows: int): ...  # noqa: F821 - as it may be imported for types alone


@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [
        ("largest", "20", "largest is '20'; give environment 'pile' an integer"),
        ("largest", True, "is True; give environment 'pile' an integer"),
        ("largest", 2.0, "is 2.0; give environment 'pile' an integer"),
        ("largest", None, "is None; give environment 'pile' an integer"),
        ("share", "half", "is 'half'; give environment 'pile' a number"),
        ("open_", 1, "is 1; give environment 'pile' true or false"),
        ("title", 5, "is 5; give environment 'pile' a text, in quotes"),
        ("mode", "loud", "is 'loud'; give environment 'pile' one of 'calm', 'wild', 3"),
        ("limit", "no", "is 'no'; give environment 'pile' an integer or null"),
        ("either", [1], r"is \[1\]; give environment 'pile' an integer or a text, in quotes"),
    ],
)
def test_what_is_of_another_type_is_one_sentence(option, value, wanted):
    """A person would be told that only text can be joined to text, somewhere in somebody's code."""
    for factory in (Pile, functools.partial(Pile)):
        with pytest.raises(InvalidInput, match=wanted):
            check_option_types("pile", factory, {option: value})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("largest", 20),
        ("share", 1),
        ("share", 0.5),
        ("open_", True),
        ("title", "a"),
        ("mode", 3),
        ("limit", None),
        ("limit", 4),
        ("either", "x"),
        ("rows", "not looked at"),
        ("anything", object()),
        ("untold", "x"),
        ("nobody's", 1),
    ],
)
def test_what_may_be_right_is_let_through(option, value):
    """An environment could not be made with what it takes."""
    check_option_types("pile", Pile, {option: value})


def test_types_that_are_nowhere_are_left_alone():
    """An annotation that only checkers of types read would keep an environment from being made."""
    check_option_types("pile", of_what_is_nowhere, {"size": 1, "rows": "x"})
