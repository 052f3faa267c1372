"""What an environment holds: copied before a call, and compared after it."""

import copy
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from types import MethodType
from typing import Any, Final

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.conformance.wording import RAISED

_APART: Final = frozenset({"_play", "step_timeout_seconds"})
"""What the base class keeps, and what the rules themselves change."""


def hold(environment: BaseHarness) -> dict[str, Any]:
    """A copy of each attribute of an instance and its classes; what can't be copied is left out."""
    copies = {}
    for name, value in _attributes(environment).items():
        with suppress(*RAISED):  # whatever a foreign object's own copying raises
            copies[name] = copy.deepcopy(value)
    return copies


def changed(environment: BaseHarness, before: Mapping[str, Any]) -> str | None:
    """Where what an environment holds differs from what was held before; None: nowhere."""
    now = _attributes(environment)
    for name in before:
        if name not in now:
            return name
        where = difference(before[name], now[name], name)
        if where is not None:
            return where
    return None


def _attributes(environment: BaseHarness) -> dict[str, Any]:
    found = {name: value for name, value in vars(environment).items() if name not in _APART}
    for cls in type(environment).__mro__:
        if cls is BaseHarness:
            break
        for name, value in vars(cls).items():
            if not name.startswith("__") and isinstance(value, list | dict | set | bytearray):
                found[f"{cls.__name__}.{name}"] = value
    return found


def difference(one: Any, other: Any, path: str) -> str | None:
    """The path of the first place where two values differ; None where they don't, as far as can be told."""
    return _Comparison().of(one, other, path)


class _Comparison:
    def __init__(self) -> None:
        self._kept: list[tuple[Any, Any]] = []
        self._begun: set[tuple[int, int]] = set()

    def of(self, one: Any, other: Any, path: str) -> str | None:  # noqa: PLR0911 - a table of kinds
        if one is other or (id(one), id(other)) in self._begun:
            return None
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
