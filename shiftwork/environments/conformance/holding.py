"""What an environment holds: copied before a call, and compared after it."""

import copy
import sys
import weakref
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from types import MethodType, SimpleNamespace
from typing import Any, Final

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.conformance.wording import RAISED

_APART: Final = frozenset({"_play", "step_timeout_seconds"})
"""What the base class keeps, and what the rules themselves change."""

_DATA: Final = (int, float, str, tuple, list, dict, set, bytearray)
"""Of what classes and modules hold: what counts, or collects."""


@dataclass(frozen=True, slots=True)
class Held:
    """What an attribute held.

    Attributes:
        value: a copy of it.
        proxies: each weak proxy in it, by the id of what `copy` made of it: a copy of what it refers to.
    """

    value: Any
    proxies: Mapping[int, Any] = field(default_factory=dict)


def hold(environment: BaseHarness) -> dict[str, Held]:
    """A copy of each attribute of an instance and its classes; what can't be copied is left out."""
    return _copies(_attributes(environment))


def hold_shared(environment: BaseHarness) -> dict[str, Held]:
    """A copy of what its classes and their modules hold for every instance; for `changed_shared`."""
    return _copies(_shared(environment))


def _copies(attributes: Mapping[str, Any]) -> dict[str, Held]:
    copies = {}
    for name, value in attributes.items():
        with suppress(*RAISED):  # whatever a foreign object's own copying raises
            memo: dict[int, Any] = {}
            copied = copy.deepcopy(value, memo)
            originals = memo.get(id(memo), [])  # `copy` keeps there what it has copied
            proxies = [each for each in originals if type(each) in weakref.ProxyTypes]
            copies[name] = Held(copied, {id(memo[id(each)]): each for each in proxies})
    return copies


def changed(environment: BaseHarness, before: Mapping[str, Held]) -> str | None:
    """Where what an environment holds differs from what was held before; None: nowhere."""
    return _changed(before, _attributes(environment))


def changed_shared(environment: BaseHarness, before: Mapping[str, Held]) -> str | None:
    """Where what instances share differs from what was held before; None: nowhere."""
    return _changed(before, _shared(environment))


def _changed(before: Mapping[str, Held], now: Mapping[str, Any]) -> str | None:
    for name in before:
        if name not in now:
            return name
        where = _Comparison(before[name].proxies).of(before[name].value, now[name], name)
        if where is not None:
            return where
    return None


def _attributes(environment: BaseHarness) -> dict[str, Any]:
    found = {name: value for name, value in vars(environment).items() if name not in _APART}
    for cls in _classes(environment):
        for name, value in vars(cls).items():
            if not name.startswith("__") and isinstance(value, list | dict | set | bytearray):
                found[f"{cls.__name__}.{name}"] = value
    return found


def _shared(environment: BaseHarness) -> dict[str, Any]:
    owners: dict[str, Mapping[str, Any]] = {}
    for cls in _classes(environment):
        owners[cls.__name__] = vars(cls)
        owners[cls.__module__] = vars(sys.modules.get(cls.__module__, SimpleNamespace()))
    return {
        f"{owner}.{name}": value
        for owner, held in owners.items()
        for name, value in held.items()
        if not name.startswith("__") and isinstance(value, _DATA)
    }


def _classes(environment: BaseHarness) -> list[type]:
    found = type(environment).__mro__
    return list(found[: found.index(BaseHarness)])


class _Comparison:
    """Finds the first place where a value differs from a copy of what it was, as far as can be told."""

    def __init__(self, proxies: Mapping[int, Any]) -> None:
        self._proxies = proxies
        self._kept: list[tuple[Any, Any]] = []
        self._begun: set[tuple[int, int]] = set()

    def of(self, one: Any, other: Any, path: str) -> str | None:  # noqa: PLR0911 - a table of kinds
        if one is other or (id(one), id(other)) in self._begun:
            return None
        if type(other) in weakref.ProxyTypes:  # what it refers to is compared where that is held
            return None if self._proxies.get(id(one)) is other else path
        if type(one) is not type(other):
            return path
        if isinstance(one, MethodType):
            return None if one.__func__ is other.__func__ else path
        if isinstance(one, BaseHarness):  # what refers back to its environment
            return None
        self._begun.add((id(one), id(other)))
        self._kept.append((one, other))  # so that no id is used twice
        if isinstance(one, Mapping):
            return self._of_mappings(one, other, path)
        if isinstance(one, list | tuple):
            return self._of_sequences(one, other, path)
        if isinstance(one, AbstractSet) or _compares(one):
            return None if _equal(one, other) else path
        return self._of_objects(one, other, path)

    def _of_mappings(self, one: Mapping[Any, Any], other: Mapping[Any, Any], path: str) -> str | None:
        for key in (*one, *other):
            inner = f"{path}[{key!r}]"
            if key not in one or key not in other:
                return inner
            where = self.of(one[key], other[key], inner)
            if where is not None:
                return where
        return None

    def _of_sequences(self, one: Any, other: Any, path: str) -> str | None:
        if len(one) != len(other):
            return path
        if all(isinstance(each, int) for each in one):  # such as the state of a random generator
            return None if one == other else path
        pairs = enumerate(zip(one, other, strict=True))
        found = (self.of(first, second, f"{path}[{place}]") for place, (first, second) in pairs)
        return next((where for where in found if where is not None), None)

    def _of_objects(self, one: Any, other: Any, path: str) -> str | None:
        """By what they would be pickled as: it tells random generators, queues and plain objects apart."""
        try:
            parts = one.__reduce_ex__(4), other.__reduce_ex__(4)
        except RAISED:
            return None
        if not all(isinstance(each, tuple) for each in parts):
            return None
        for first, second in zip(*parts, strict=False):
            if callable(first):
                continue
            if hasattr(first, "__next__"):  # the items of a list or a dictionary
                first, second = list(first), list(second)  # noqa: PLW2901 - iterators are read once only
            if self.of(first, second, path) is not None:
                return path
        return None


def _compares(value: Any) -> bool:
    compare: object = type(value).__eq__
    return compare is not object.__eq__


def _equal(one: Any, other: Any) -> bool:
    try:
        same = one == other
        return bool(same.all() if hasattr(same, "all") else same)
    except RAISED:
        return True
