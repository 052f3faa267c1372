"""From the copies of objects to the objects themselves."""

import copy
import gc
import types
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from shiftwork.environments.restoring_parts import fits

_MOST_LOOKED_AT: Final = 10_000
"""Objects that are looked at to know whether something holds a copy; what was made of such has it near by."""

_HOLD_NO_COPIES: Final = (
    *(type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType),
    *(types.FrameType, str, bytes, int, float, complex),
)
"""Copying keeps these, or they refer to nothing."""


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
        self._sets = {
            _elements(copied): original
            for original, copied in copies
            if isinstance(copied, set) and self.knows(original, copied)
        }

    def __call__(self, copied: Any) -> Any:
        """What stands for this, once all is put back."""
        if id(copied) in self._memo:
            return self._memo[id(copied)]
        if not self._holds_copies(copied):
            return copied
        # `copy` makes a set twice if its elements refer to it, and remembers the second one only.
        if isinstance(copied, set) and (original := self._sets.get(_elements(copied))) is not None:
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
        return any(id(each) in self._copies for each in islice(_reached(of), _MOST_LOOKED_AT))


def _reached(of: Any) -> Iterator[Any]:
    """An object, and all that it refers to, the nearest first."""
    known, coming = {id(of)}, [of]
    for each in coming:  # which grows
        yield each
        if isinstance(each, _HOLD_NO_COPIES):
            continue
        for one in gc.get_referents(each):
            if id(one) not in known:
                known.add(id(one))
                coming.append(one)


def _elements(of: set[Any]) -> tuple[type, frozenset[int]]:
    return type(of), frozenset(map(id, set.__iter__(of)))
