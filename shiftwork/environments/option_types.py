"""What an environment is made with, held against the simple types that its author wrote."""

import functools
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from shiftwork.errors import InvalidInput
from shiftwork.text import truncate

_KINDS: Final[Mapping[object, tuple[type, ...]]] = {
    int: (int,),
    float: (int, float),
    bool: (bool,),
    str: (str,),
    types.NoneType: (types.NoneType,),
}
_SAID: Final[Mapping[object, str]] = {
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "a text, in quotes",
    types.NoneType: "null",
}


def check_option_types(name: str, factory: Callable[..., object], given: Mapping[str, Any]) -> None:
    """Do nothing where each option has a value of its type, or its type is none that is known here.

    Raises:
        InvalidInput: one has not; which, and what it takes.
    """
    hints = _hints(factory)
    for option, value in given.items():
        if option not in hints:
            continue
        simple = list(_simple(hints[option]))
        if None in simple or any(_is(value, kind) for kind in simple):
            continue
        raise InvalidInput(
            f"{option} is {truncate(repr(value), 100)}; give environment {name!r} "
            f"{' or '.join(dict.fromkeys(map(_said, simple)))}"
        )


def _hints(factory: Callable[..., object]) -> dict[str, Any]:
    made_by: Any = factory
    while isinstance(made_by, functools.partial):
        made_by = made_by.func
    if inspect.isclass(made_by):
        made_by = made_by.__init__
    try:
        return get_type_hints(made_by)
    except (AttributeError, NameError, SyntaxError, TypeError, ValueError):  # it may name anything
        return {}


def _simple(hint: object) -> Iterator[object]:
    """The parts of a type: `None` for one that is not known here, a tuple for the values of a `Literal`."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        for part in get_args(hint):
            yield from _simple(part)
    elif origin is Literal:
        yield get_args(hint)
    else:
        yield hint if isinstance(hint, type) and hint in _KINDS else None


def _is(value: object, kind: object) -> bool:
    if isinstance(kind, tuple):
        return any(value == each and type(value) is type(each) for each in kind)
    return type(value) in _KINDS[kind] or (isinstance(value, _KINDS[kind]) and not isinstance(value, bool))


def _said(kind: object) -> str:
    return f"one of {', '.join(map(repr, kind))}" if isinstance(kind, tuple) else _SAID[kind]
