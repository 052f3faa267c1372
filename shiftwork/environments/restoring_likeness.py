"""Whether an environment that was made again holds what it held before, part by part.

Its parts may be other objects then, so they are compared by what they hold: what is one object in two places
has to be one again; sets have their elements in any order; of what can't be looked into, the kind is enough.
"""

import math
import time
import types
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, Final

from shiftwork.environments.one_by_one import OneByOne
from shiftwork.environments.restoring import Snapshot, everybodys, is_everybodys
from shiftwork.environments.restoring_kinds import kind_of
from shiftwork.environments.sharing import NeverChanges

_Pair = tuple[Any, Any]

_CLOCKS: Final = (time.time, time.monotonic, time.perf_counter)

_NOT_COMPARED: Final = (NeverChanges, OneByOne)

_SHARED: Final = (tuple, frozenset, types.MethodType, types.BuiltinFunctionType)
"""Which may be one object or several that are the same: nobody can tell."""


class Unlike(Exception):  # noqa: N818 - what was found
    """The two do not hold the same; the text says what."""


def clock_readings() -> tuple[float, ...]:
    """What the clocks say at this moment."""
    return tuple(clock() for clock in _CLOCKS)


def check_alike(before: Snapshot, now: Snapshot, made_at: tuple[float, ...] = ()) -> None:
    """Compare what was noted of an environment with what was noted of it when it was made again.

    Args:
        before: the one.
        now: the other.
        made_at: what the clocks said when it was begun to be made again. If given, what was read from a clock
            since may differ, and an attribute need not be filled yet, as some are when first asked for.

    Raises:
        Unlike: they are not the same.
        Exception: whatever an object raises that is looked at.
    """
    _Comparison(before, now, made_at).run()


class _Comparison:
    def __init__(self, before: Snapshot, now: Snapshot, made_at: tuple[float, ...]) -> None:
        self._before = before
        self._now = now
        self._clocks = tuple(zip(made_at, clock_readings(), strict=False))
        self._everybodys = everybodys()
        self._there: dict[int, int] = {}
        self._back: dict[int, int] = {}
        self._shared: set[tuple[int, int]] = set()

    def run(self) -> None:
        waiting: list[_Pair] = [(self._before.of, self._now.of)]
        while waiting:
            one, other = waiting.pop()
            if type(one) is not type(other):
                raise Unlike(f"a {type(one).__qualname__} and a {type(other).__qualname__}")
            kind = kind_of(type(one))
            if kind.stays:
                waiting.extend(self._of_values(one, other))
            elif is_everybodys(one, self._everybodys) or is_everybodys(other, self._everybodys):
                _check(one is other, "something that is everybody's")
            elif self._is_met(one, other):
                waiting.extend(self._of_parts(one, other))

    def _is_met(self, one: Any, other: Any) -> bool:
        """Whether they are met for the first time."""
        if isinstance(one, _SHARED):
            known = len(self._shared)
            self._shared.add((id(one), id(other)))
            return len(self._shared) > known
        is_new = id(one) not in self._there and id(other) not in self._back
        met = self._there.setdefault(id(one), id(other)), self._back.setdefault(id(other), id(one))
        _check(met == (id(other), id(one)), f"a {type(one).__qualname__} that others hold, too")
        return is_new

    def _of_values(self, one: Any, other: Any) -> Iterable[_Pair]:
        """Of what never changes itself; what such ones refer to."""
        if one is other or isinstance(one, _NOT_COMPARED) or type(one) is object:
            return ()
        if isinstance(one, weakref.ref):
            return ((one(), other()),)
        if isinstance(one, types.FunctionType):
            _check(one.__code__ is other.__code__, f"the function {one.__qualname__}")
            cells = zip(one.__closure__ or (), other.__closure__ or (), strict=True)
            return [(cell.cell_contents, another.cell_contents) for cell, another in cells]
        same = one == other if not isinstance(one, float) else math.isnan(one) and math.isnan(other)
        _check(bool(same or one == other or self._are_readings(other)), f"a {type(one).__qualname__}")
        return ()

    def _are_readings(self, now: Any) -> bool:
        """Whether it can have been read from a clock when it was made again."""
        return isinstance(now, float) and any(began <= now <= ended for began, ended in self._clocks)

    def _of_parts(self, one: Any, other: Any) -> Iterable[_Pair]:
        noted, found = self._before.noted(one), self._now.noted(other)
        kind = kind_of(type(one))
        if self._before.lacks(one):
            return
        if noted is None or found is None:  # nothing in it changes, but for what it holds
            known = noted is found and kind.within is not None
            _check(known or one is other, f"a {type(one).__qualname__}")
            if kind.within is not None:
                yield from _matched(one, kind.within(one), kind.within(other))
            return
        yield from self._of_attributes(noted.by_name(self._before), found.by_name(self._now))
        _check(noted.beside() == found.beside(), f"what a {type(one).__qualname__} holds")
        yield from _matched(one, noted.within(), found.within())

    def _of_attributes(self, before: Mapping[Any, Any], now: Mapping[Any, Any]) -> Iterable[_Pair]:
        for name, one in before.items():
            other = now.get(name)
            if not self._clocks or not (other is None or _is_empty(other)):
                _check(name in now, f"attribute {name}")
                yield one, other
        _check(now.keys() <= before.keys(), "further attributes")


def _is_empty(one: Any) -> bool:
    return isinstance(one, list | dict | set) and not one


def _check(alike: bool, what: str) -> None:  # noqa: FBT001 - a condition, as of `assert`
    if not alike:
        raise Unlike(f"{what} is not as it was")


def _matched(of: Any, some: Iterable[Any], others: Iterable[Any]) -> Iterable[_Pair]:
    """Which have to be alike; those of sets are found by their hashes."""
    before, now = list(some), list(others)
    what = f"what a {type(of).__qualname__} holds"
    _check(len(before) == len(now), what)
    if not isinstance(of, set | frozenset):
        return zip(before, now, strict=True)
    known = {each: each for each in now}
    _check(all(each in known for each in before), what)
    return [(each, known[each]) for each in before]
