"""Putting an object back to what it held, part by part: each part stays the object that it is."""

import copy
import functools
import types
from collections.abc import Iterable
from typing import Any, Final

from shiftwork.environments.restoring_parts import as_it_was, fits, way_of

_COPYING: Final = ("__deepcopy__", "__getstate__", "__setstate__", "__reduce__", "__reduce_ex__")

_MOST_CLASSES: Final = 10_000
"""Of which it is remembered how their instances are put back."""

_Name = str | types.MemberDescriptorType
"""Of what an object holds: in its `__dict__`, or in a slot."""


class Snapshot:
    """What an object held, and what that held in turn, at one moment.

    All of it is copied; to put it back, the content of each copy is written into the object that was copied.
    So weak references, views, keys made of `id(…)`, comparisons by `is` and other holders of a part are right
    afterwards, too. An object of which only its own package knows how to write into it is replaced by its
    copy.
    """

    def __init__(self, of: Any, apart: Iterable[str] = ()) -> None:
        """Copy all that it holds, but for the attributes `apart`.

        Raises:
            Exception: whatever the copying of a part that can't be copied raises.
        """
        self._of = of
        self._apart = frozenset(apart)
        held = _held(of, self._apart)
        memo: dict[int, Any] = {id(of): of}
        self._names = list(held)
        self._values = copy.deepcopy(list(held.values()), memo)
        originals = memo.get(id(memo), [])  # `copy` keeps there what it has copied
        self._copies = [(each, memo[id(each)]) for each in originals if id(each) in memo]
        self._left_out = {id(each): _left_out(each, copied) for each, copied in self._copies if _is_odd(each)}

    def put_back(self) -> None:
        """Let the object hold that, and nothing else."""
        back = _Back(self._of, self._copies)
        values = [back(value) for value in self._values]
        kept = [(original, copied) for original, copied in self._copies if back.knows(original, copied)]
        for original, copied in kept:
            if as_it_was(type(original)):
                held = {name: back(value) for name, value in _held(copied).items()}
                _hold(original, {**self._left_out.get(id(original), {}), **held})
        _hold(self._of, dict(zip(self._names, values, strict=True)), self._apart)
        for original, copied in kept:  # after the attributes, of which hashes may be made
            way = way_of(type(original))
            if way is not None:
                way(original, copied, back)


class _Back:
    """From a copy to what was copied; what is neither is made of such again."""

    def __init__(self, of: Any, copies: list[tuple[Any, Any]]) -> None:
        self._memo: dict[int, Any] = {id(of): of}
        for original, copied in copies:
            if type(original) is type(copied) and fits(original, copied):
                self._memo[id(copied)] = self._memo[id(original)] = original
        for original, copied in copies:
            if self._is_same(original, copied):
                self._memo[id(copied)] = original

    def __call__(self, copied: Any) -> Any:
        return copy.deepcopy(copied, self._memo)

    def knows(self, original: object, copied: object) -> bool:
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


@functools.lru_cache(maxsize=_MOST_CLASSES)
def _slots_of(cls: type) -> tuple[types.MemberDescriptorType, ...]:
    return tuple(
        each
        for base in cls.__mro__
        if way_of(base) is None and as_it_was(base)
        for each in vars(base).values()
        if isinstance(each, types.MemberDescriptorType)
    )


def _slots(owner: Any) -> tuple[types.MemberDescriptorType, ...]:
    kind: Any = type(owner)  # as any: mypy takes no class for hashable
    return _slots_of(kind)


def _held(owner: Any, apart: Iterable[str] = ()) -> dict[_Name, Any]:
    held: dict[_Name, Any] = {
        name: value for name, value in getattr(owner, "__dict__", {}).items() if name not in apart
    }
    for slot in _slots(owner):
        try:
            held[slot] = slot.__get__(owner)
        except AttributeError:  # nothing was put there
            continue
    return held


def _hold(owner: Any, held: dict[_Name, Any], apart: Iterable[str] = ()) -> None:
    named: dict[Any, Any] | None = getattr(owner, "__dict__", None)
    if named is not None:
        for name in [name for name in named if name not in apart]:
            del named[name]
        named.update((name, value) for name, value in held.items() if isinstance(name, str))
    for slot in _slots(owner):
        if slot in held:
            slot.__set__(owner, held[slot])
        elif slot in _held(owner):
            slot.__delete__(owner)


@functools.lru_cache(maxsize=_MOST_CLASSES)
def _copies_oddly(cls: type) -> bool:
    """Whether a class says itself what is copied of its instances."""
    return as_it_was(cls) and any(name in vars(base) for base in cls.__mro__[:-1] for name in _COPYING)


def _is_odd(owner: Any) -> bool:
    kind: Any = type(owner)
    return _copies_oddly(kind)


def _left_out(original: Any, copied: Any) -> dict[_Name, Any]:
    """What its class says is not to be copied, and stays."""
    known = _held(copied)
    return {name: value for name, value in _held(original).items() if name not in known}
