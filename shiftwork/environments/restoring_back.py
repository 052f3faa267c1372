"""From the copies of objects to the objects themselves."""

import copy
import gc
import types
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from shiftwork.environments.restoring_parts import fits

_MOST_LOOKED_AT: Final = 100_000
"""Objects that are looked at to know whether something holds a copy; each is once."""

_HOLD_NO_COPIES: Final = (
    *(type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType),
    *(types.FrameType, types.NoneType, str, bytes, int, float, complex),
)
"""Copying keeps these, or they refer to nothing."""

_MADE_TWICE: Final = (set, Counter)
"""`copy` makes these twice if their elements refer to them, and remembers the second one only."""


class Back:
    """Leads from a copy to what was copied.

    What is neither is made again of originals, if it holds copies: the copying made it. Else it is nobody's
    copy, and stays what it is: others may hold it, too.

    Args:
        shared: what was not copied.
        copies: each object with its copy.
    """

    def __init__(self, shared: Iterable[Any], copies: list[tuple[Any, Any]]) -> None:
        self._memo: dict[int, Any] = {id(each): each for each in shared}
        self._copies = {id(copied) for original, copied in copies if original is not copied}
        for original, copied in copies:
            if type(original) is type(copied) and fits(original, copied):
                self._memo[id(copied)] = self._memo[id(original)] = original
        for original, copied in copies:
            if self._is_same(original, copied):
                self._memo[id(copied)] = original
        self._without: set[int] = set()  # what was looked at, and holds no copies
        self._made_twice = {
            _elements(copied): original
            for original, copied in copies
            if issubclass(type(copied), _MADE_TWICE) and self.knows(original, copied)
        }

    def __call__(self, copied: Any) -> Any:
        """What stands for this, once all is put back."""
        if id(copied) in self._memo:
            return self._memo[id(copied)]
        if not self._holds_copies(copied):
            return copied
        if issubclass(type(copied), _MADE_TWICE):
            original = self._made_twice.get(_elements(copied))
            if original is not None:
                self._memo[id(copied)] = original
                return original
        try:
            return copy.deepcopy(copied, self._memo)
        except Exception:  # noqa: BLE001 - a class may give its copies what can't be copied again
            return copied

    def knows(self, original: object, copied: object) -> bool:
        """Whether the content of this copy is to be written into this object."""
        return self._memo.get(id(copied)) is original

    def _is_same(self, original: Any, copied: Any) -> bool:
        """Whether something that never changes holds the same, once all is put back."""
        if original is copied or self.knows(original, copied):
            return True
        if type(original) is tuple and type(copied) is tuple:
            return all(map(self._is_same, original, copied))
        if isinstance(original, types.MethodType) and isinstance(copied, types.MethodType):
            return self._is_same(original.__self__, copied.__self__)
        return False

    def _holds_copies(self, of: Any) -> bool:
        if issubclass(type(of), _HOLD_NO_COPIES) or id(of) in self._without:
            return False
        seen: set[int] = set()
        for each in islice(_reached(of, self._without), _MOST_LOOKED_AT):
            if id(each) in self._copies:
                return True
            seen.add(id(each))
        self._without |= seen
        return False


def _reached(of: Any, without: set[int]) -> Iterator[Any]:
    """An object, and all that it refers to, the nearest first; but for what these hold."""
    known, coming = {id(of)}, [of]
    for each in coming:  # which grows
        yield each
        for one in gc.get_referents(each):
            key = id(one)
            if key not in known and key not in without and not issubclass(type(one), _HOLD_NO_COPIES):
                known.add(key)
                coming.append(one)


def _elements(of: Any) -> tuple[type, frozenset[int]]:
    """The kind and the elements of what `copy` makes twice; of a `Counter` how many there are, too."""
    elements = set.__iter__(of) if isinstance(of, set) else (part for item in dict.items(of) for part in item)
    return type(of), frozenset(map(id, elements))
