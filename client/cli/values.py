"""How the values of arguments are read; what is wrong is a usage error that names the argument."""

import json
import math
from argparse import ArgumentTypeError
from typing import Any


def count(text: str) -> int:
    """A whole number from 1 up."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return value


def index(text: str) -> int:
    """A whole number from 0 up."""
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 0 up")
    return value


def seconds(text: str) -> float:
    """A number of seconds above 0."""
    value = _number(text)
    if value <= 0:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def dollars(text: str) -> float:
    """An amount of US dollars, 0 or more."""
    value = _number(text.removeprefix("$"))
    if value < 0:
        raise ArgumentTypeError(f"{text!r} is not an amount of US dollars from 0 up")
    return value


def dollars_or_none(text: str) -> float | None:
    """An amount of US dollars, or `none` for no limit."""
    return None if text.lower() == "none" else dollars(text)


def score(text: str) -> float:
    """A number from -1 to 1."""
    value = _number(text)
    if not -1 <= value <= 1:
        raise ArgumentTypeError(f"{text!r} is not a number from -1 (bad) to 1 (good)")
    return value


def setting(text: str) -> tuple[str, Any]:
    """`KEY=VALUE`; the value is JSON if it can be read as such, else text."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a number") from None
    if not math.isfinite(value):
        raise ArgumentTypeError(f"{text!r} is not a finite number")
    return value
