"""What never changes itself: whether two of a kind are the same, and which other objects they lead to."""

import datetime as dt
import functools
import operator
import re
import types
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

_PROXIES: Final = (weakref.ProxyType, weakref.CallableProxyType)
_CACHED: Final = type(functools.lru_cache(int))

LEADING: Final = frozenset(
    {
        *(types.FunctionType, staticmethod, classmethod, property, _CACHED, *_PROXIES),
        *(operator.itemgetter, operator.attrgetter, operator.methodcaller),
    }
)
"""Kinds that are as they are made, and are the same if what they lead to is."""

_EMPTY: Final = object()
"""What a variable of a function holds that has none yet."""

_ROUNDED: Final = 2e-6
"""Seconds by which a reading that was rounded may be off."""

_MOST_READ: Final = 2**63
"""Nanoseconds of which a clock may tell."""


def leads_to(one: Any) -> Sequence[Any]:
    """The objects that one of a kind in `LEADING` is made of."""
    if type(one) in _PROXIES:  # first: a dead one can't be asked for its class
        return [_referent(one)]
    if isinstance(one, types.FunctionType):
        named = sorted((one.__kwdefaults__ or {}).items())
        return [one.__code__, *(one.__defaults__ or ()), *named, *map(_in_cell, one.__closure__ or ())]
    if isinstance(one, property):
        return [one.fget, one.fset, one.fdel]
    if isinstance(one, operator.itemgetter | operator.attrgetter | operator.methodcaller):
        return list(one.__reduce__())
    return [getattr(one, "__wrapped__", None)]


def _in_cell(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _EMPTY


def _referent(proxy: Any) -> Any:
    try:
        return proxy.__sizeof__.__self__
    except (ReferenceError, AttributeError):
        return None


def are_same(one: Any, other: Any) -> bool:
    """Whether two values of one kind are the same; what is like nothing is like another such one."""
    if isinstance(one, re.Match):
        return _told(one) == _told(other)
    return bool(one == other) or bool(one != one and other != other)  # noqa: PLR0124 - not a number, not a time


def _told(found: re.Match[Any]) -> tuple[Any, ...]:
    return found.re, found.string, found.regs, found.pos, found.endpos


def readings(one: Any) -> Iterator[tuple[float, float]]:
    """What a clock may have said, from when to when, if a value was read from one.

    As seconds, as nanoseconds, or as a date with its time, here or in UTC.
    """
    if isinstance(one, float):
        yield one, one
    elif isinstance(one, int) and abs(one) <= _MOST_READ:
        yield one / 1e9 - _ROUNDED, one / 1e9 + _ROUNDED
    elif isinstance(one, dt.datetime):
        for each in (one, one.replace(tzinfo=dt.UTC)) if one.tzinfo is None else (one,):
            with suppress(ValueError, OverflowError, OSError):  # of which no clock can tell
                yield each.timestamp() - _ROUNDED, each.timestamp() + _ROUNDED
