"""Putting an object back to what it held, part by part: each part stays the object that it is."""

import asyncio
import builtins
import copy
import functools
import sys
import threading
import types
from collections.abc import Iterable
from typing import Any, Final

from shiftwork.environments.restoring_back import Back
from shiftwork.environments.restoring_parts import as_it_was, way_of

_COPYING: Final = ("__deepcopy__", "__getstate__", "__setstate__", "__reduce__", "__reduce_ex__")

_LOCKS: Final = (
    *(type(threading.Lock()), type(threading.RLock()), threading.Condition),
    *(asyncio.Lock, asyncio.Condition),
)
"""What others may hold or wait for; it has no content besides."""

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
        # What a module holds is not the object's own; without its builtins the interpreter can't go on.
        self._shared = [of, *_of_modules(of)]
        memo: dict[int, Any] = {id(each): each for each in self._shared}
        self._names = list(held)
        self._values = copy.deepcopy(list(held.values()), memo)
        originals = memo.get(id(memo), [])  # `copy` keeps there what it has copied
        self._copies = [(each, memo[id(each)]) for each in originals if id(each) in memo]
        self._of_odd = {id(each): _held(each) for each, _ in self._copies if _is_odd(each)}

    def put_back(self) -> None:
        """Let the object hold that, and nothing else."""
        # A frozen set is made by the hashes of its elements, which may be made of their attributes.
        frozen = any(issubclass(type(copied), frozenset) for _, copied in self._copies)
        for _ in range(2 if frozen else 1):
            self._put_back(Back(self._shared, self._copies))

    def _put_back(self, back: Back) -> None:
        values = [back(value) for value in self._values]
        kept = [(original, copied) for original, copied in self._copies if back.knows(original, copied)]
        contents = [
            (original, self._content(original, copied, back))
            for original, copied in kept
            if as_it_was(type(original))
        ]
        for original, content in contents:
            _hold(original, content)
        _hold(self._of, dict(zip(self._names, values, strict=True)), self._apart)
        for original, copied in kept:  # after the attributes, of which hashes may be made
            way = way_of(type(original))
            if way is not None:
                way(original, copied, back)

    def _content(self, original: Any, copied: Any, back: Back) -> dict[_Name, Any]:
        """All that is to be in its attributes.

        A class that says itself what is copied may leave something out, which stays; or put something new
        into each copy: a lock, say, that others may hold or wait for. The one that was there stays then, too.
        """
        held = {name: back(value) for name, value in _held(copied).items()}
        before = self._of_odd.get(id(original))
        if before is None:
            return held
        same = {name: one for name, one in before.items() if name in held and _is_like(one, held[name])}
        return {**before, **held, **same}


@functools.lru_cache(maxsize=_MOST_CLASSES)
def _slots_of(cls: type) -> tuple[types.MemberDescriptorType, ...]:
    return tuple(
        each
        for base in cls.__mro__
        if as_it_was(base) and "__slots__" in vars(base)
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


def _is_like(one: object, other: object) -> bool:
    """Whether it is another lock of the same kind."""
    return one is not other and type(one) is type(other) and issubclass(type(one), _LOCKS)


def _of_modules(of: object) -> list[dict[str, Any]]:
    """What the interpreter, and the module of an object's class, hold by themselves."""
    module = sys.modules.get(type(of).__module__)
    return [vars(builtins), *([] if module is None else [vars(module)])]
