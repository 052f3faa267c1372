"""Whether an environment that was made again holds what it held before, part by part.

Its parts may be other objects then, so they are compared by what they hold: what is one object in two places
has to be one again; sets have their elements in any order; of what can't be looked into, the kind is enough.
"""

import time
import types
import weakref
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, Final

from shiftwork.environments.one_by_one import OneByOne
from shiftwork.environments.restoring import Snapshot, everybodys, is_everybodys
from shiftwork.environments.restoring_contents import PLAIN
from shiftwork.environments.restoring_kinds import kind_of
from shiftwork.environments.restoring_values import LEADING, are_same, leads_to, readings
from shiftwork.environments.sharing import NeverChanges

_Pair = tuple[Any, Any]

_CLOCKS: Final = (time.time, time.monotonic, time.perf_counter)

_NOT_COMPARED: Final = (NeverChanges, OneByOne)

_SHARED: Final = (tuple, frozenset, types.MethodType, types.BuiltinFunctionType)
"""Which may be one object or several that are the same: nobody can tell."""

_MOST_IN_VAIN: Final = 200_000
"""Pairs looked at to find which elements of sets are alike, and that are not (a second or two)."""


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
        self._there: dict[Any, int] = {}
        self._back: dict[Any, int] = {}
        self._shared: dict[Any, int] = {}
        self._met: list[tuple[dict[Any, int], Any]] = []
        self._kept: list[Any] = []
        self._looked = self._in_vain = 0

    def run(self) -> None:
        self._compare((self._before.of, self._now.of))

    def _compare(self, pair: _Pair) -> None:
        """A pair, and all that the two hold; elements of sets last: others may tell which is which."""
        waiting = [pair]
        sets: list[tuple[list[Any], list[Any]]] = []
        while waiting or sets:
            if not waiting:
                sets.sort(key=lambda each: -len(each[0]))
                self._pair_elements(*sets.pop())
                continue
            one, other = waiting.pop()
            self._looked += 1
            if type(one) is not type(other):
                raise Unlike(f"a {type(one).__qualname__} and a {type(other).__qualname__}")
            kind = kind_of(type(one))
            if kind.stays:
                waiting.extend(self._of_values(one, other))
            elif is_everybodys(one, self._everybodys) or is_everybodys(other, self._everybodys):
                _check(one is other, "something that is everybody's")
            elif self._is_new(one, other):
                waiting.extend(self._of_parts(one, other, sets))

    def _is_new(self, one: Any, other: Any) -> bool:
        """Whether they are met for the first time."""
        pair = id(one), id(other)
        if type(one) in LEADING or isinstance(one, _SHARED):
            is_new = pair not in self._shared
            entries: list[tuple[dict[Any, int], Any, int]] = [(self._shared, pair, 0)]
        else:
            met = self._there.get(pair[0]), self._back.get(pair[1])
            is_new = met == (None, None)
            _check(is_new or met == pair[::-1], f"a {type(one).__qualname__} that others hold, too")
            entries = [(self._there, *pair), (self._back, *pair[::-1])]
        for known, key, value in entries if is_new else ():
            known[key] = value
            self._met.append((known, key))
        return is_new

    def _of_values(self, one: Any, other: Any) -> Iterable[_Pair]:
        """Of what never changes itself; what such ones refer to."""
        if one is other or type(one) is object:
            return ()
        if type(one) in LEADING:
            if not self._is_new(one, other):
                return ()
            led = leads_to(one), leads_to(other)
            self._kept.append(led)  # they are told apart by where they are
            return _matched(one, *led)
        if isinstance(one, _NOT_COMPARED):
            return ()
        if isinstance(one, weakref.ref):
            return ((one(), other()),)
        _check(are_same(one, other) or self._is_reading(other), f"a {type(one).__qualname__}")
        return ()

    def _is_reading(self, now: Any) -> bool:
        """Whether it can have been read from a clock when it was made again."""
        return any(
            first <= ended and began <= last
            for first, last in (readings(now) if self._clocks else ())
            for began, ended in self._clocks
        )

    def _of_parts(self, one: Any, other: Any, sets: list[Any]) -> Iterable[_Pair]:
        kind = kind_of(type(one))
        if kind.within is not None and not kind.changes:
            return self._of_elements(one, kind.within(one), kind.within(other), sets)
        if self._before.lacks(one) or (one is other and self._before.noted(one) is None):
            return ()
        noted, found = self._before.note(one), self._now.note(other)
        if noted is None:
            return ()
        if found is None:
            raise Unlike(f"a {type(one).__qualname__} can't be looked into now")
        pairs = list(self._of_attributes(noted.by_name(self._before), found.by_name(self._now)))
        _check(noted.beside() == found.beside(), f"what a {type(one).__qualname__} holds")
        pairs.extend(self._of_elements(one, noted.within(), found.within(), sets))
        return pairs

    def _of_attributes(self, before: Mapping[Any, Any], now: Mapping[Any, Any]) -> Iterable[_Pair]:
        for name, one in before.items():
            other = now.get(name)
            if not self._clocks or not (other is None or _is_empty(other)):
                _check(name in now, f"attribute {name}")
                yield one, other
        _check(now.keys() <= before.keys(), "further attributes")

    def _of_elements(
        self, of: Any, some: Iterable[Any], others: Iterable[Any], sets: list[Any]
    ) -> Iterable[_Pair]:
        """Which have to be alike; those of sets are found by their hashes, or `sets` has them."""
        if not isinstance(of, set | frozenset):
            return _matched(of, some, others)
        before, now = list(some), list(others)
        _check(len(before) == len(now), f"what a {type(of).__qualname__} holds")
        known = {each: each for each in now}
        pairs = [(each, known.pop(each)) for each in before if each in known]
        found = {id(each) for pair in pairs for each in pair}
        if len(pairs) + 1 == len(before):  # one is left, and nothing to be tried
            pairs.extend(
                _matched(of, *([each for each in some if id(each) not in found] for some in (before, now)))
            )
        elif len(pairs) < len(before):
            sets.append(tuple([each for each in some if id(each) not in found] for some in (before, now)))
        return pairs

    def _pair_elements(self, some: list[Any], others: list[Any]) -> None:
        """Find for each one another that is like it; those first of which it is known already."""
        left = {id(each): each for each in others}
        shapes: dict[tuple[Any, ...], dict[int, Any]] = {}
        for each in others:
            shapes.setdefault(_shape(each, self._now), {})[id(each)] = each
        for one in sorted(some, key=lambda each: id(each) not in self._there):
            known = [left[at] for at in (self._there.get(id(one)),) if at in left]
            likely = shapes.get(_shape(one, self._before), {})
            rest = (each for at, each in left.items() if at not in likely)
            found = (each for each in chain(known, likely.values(), rest) if self._is_alike(one, each))
            other = next(found, None)
            if other is None:
                raise Unlike(f"a {type(one).__qualname__} in a set is not as it was")
            del left[id(other)]
            shapes[_shape(other, self._now)].pop(id(other))

    def _is_alike(self, one: Any, other: Any) -> bool:
        """Whether a pair is alike; if not, nothing is known of it afterwards."""
        met, looked = len(self._met), self._looked
        try:
            self._compare((one, other))
        except Unlike:
            self._in_vain += self._looked - looked
            if self._in_vain > _MOST_IN_VAIN:
                raise
            for known, key in self._met[met:]:
                del known[key]
            del self._met[met:]
            return False
        return True


def _shape(one: Any, among: Snapshot) -> tuple[Any, ...]:
    """What can be told of it at once: those that are alike mostly have the same."""
    noted = None if kind_of(type(one)).stays else among.note(one)
    if noted is None:
        return (type(one),)
    parts = chain(noted.by_name(among).values(), noted.within())
    return type(one), tuple(each for each in parts if type(each) in PLAIN)


def _is_empty(one: Any) -> bool:
    return issubclass(type(one), list | dict | set) and not one  # a dead proxy can't be asked for its class


def _check(alike: bool, what: str) -> None:  # noqa: FBT001 - a condition, as of `assert`
    if not alike:
        raise Unlike(f"{what} is not as it was")


def _matched(of: Any, some: Iterable[Any], others: Iterable[Any]) -> Iterable[_Pair]:
    """Those in the same places."""
    before, now = list(some), list(others)
    _check(len(before) == len(now), f"what a {type(of).__qualname__} holds")
    return zip(before, now, strict=True)
