"""How the content of a copy is written into what was copied, for each kind of object."""

import array
import functools
import io
import random
import sys
import types
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any, Final

from shiftwork.environments.one_by_one import OneByOne

Back = Callable[[Any], Any]
"""From a copy to what was copied."""

Way = Callable[[Any, Any, Back], None]
"""Writes the content of a copy (the second) into what was copied (the first)."""

_HEAP_TYPE: Final = 1 << 9
"""In `__flags__`: a class statement makes only such classes (`Py_TPFLAGS_HEAPTYPE`)."""


def _list(original: list[Any], copied: list[Any], back: Back) -> None:
    list.__setitem__(original, slice(None), [back(each) for each in list.__iter__(copied)])


def _dict(original: dict[Any, Any], copied: dict[Any, Any], back: Back) -> None:
    items = [(back(key), back(value)) for key, value in dict.items(copied)]
    dict.clear(original)
    for key, value in items:
        dict.__setitem__(original, key, value)


def _ordered(original: OrderedDict[Any, Any], copied: OrderedDict[Any, Any], back: Back) -> None:
    items = [(back(key), back(value)) for key, value in OrderedDict.items(copied)]
    OrderedDict.clear(original)
    for key, value in items:
        OrderedDict.__setitem__(original, key, value)


def _default(original: defaultdict[Any, Any], copied: defaultdict[Any, Any], back: Back) -> None:
    original.default_factory = back(copied.default_factory)
    _dict(original, copied, back)


def _set(original: set[Any], copied: set[Any], back: Back) -> None:
    elements = [back(each) for each in set.__iter__(copied)]
    set.clear(original)
    set.update(original, elements)


def _deque(original: deque[Any], copied: deque[Any], back: Back) -> None:
    elements = [back(each) for each in deque.__iter__(copied)]
    deque.clear(original)
    deque.extend(original, elements)


def _numbers(original: Any, copied: Any, _: Back) -> None:
    original[:] = copied


def _stream(original: Any, copied: Any, _: Back) -> None:
    original.__setstate__(copied.__getstate__())


def _chance(original: random.Random, copied: random.Random, _: Back) -> None:
    random.Random.setstate(original, random.Random.getstate(copied))


def _nothing(_original: Any, _copied: Any, _: Back) -> None:
    """It has no content, or none that an action changes."""


def _weakly(original: Any, copied: Any, back: Back) -> None:
    """A mapping or a set of which the elements are held by others."""
    elements = (
        {back(key): back(value) for key, value in copied.items()}
        if hasattr(copied, "items")
        else [back(each) for each in copied]
    )
    original.clear()
    original.update(elements)


def _array(original: Any, copied: Any, back: Back) -> None:
    ndarray = sys.modules["numpy"].ndarray
    content = copied.view(ndarray)
    if content.dtype == object:
        content = content.copy()
        for where, each in enumerate(content.flat):
            content.flat[where] = back(each)
    if not original.flags.writeable:
        if original.view(ndarray).tobytes() == content.tobytes():
            return  # it was so before
        original.flags.writeable = True
    original.view(ndarray)[...] = content


def _bit_generator(original: Any, copied: Any, _: Back) -> None:
    original.state = copied.state


def _random_state(original: Any, copied: Any, _: Back) -> None:
    original.set_state(copied.get_state(legacy=False))


_WAYS: Final[dict[type, Way]] = {
    list: _list,
    dict: _dict,
    OrderedDict: _ordered,
    defaultdict: _default,
    set: _set,
    deque: _deque,
    bytearray: _numbers,
    array.array: _numbers,
    io.StringIO: _stream,
    io.BytesIO: _stream,
    random.Random: _chance,
    types.SimpleNamespace: _nothing,
}

_WHOLE: Final[dict[type, Way]] = {
    weakref.WeakValueDictionary: _weakly,
    weakref.WeakKeyDictionary: _weakly,
    weakref.WeakSet: _weakly,
    OneByOne: _nothing,  # who waits in it waits on
}
"""Those that are not written by their attributes."""

_OF_PACKAGES: Final[dict[tuple[str, str], Way]] = {
    ("numpy", "ndarray"): _array,
    ("numpy.random.bit_generator", "BitGenerator"): _bit_generator,
    ("numpy.random._generator", "Generator"): _nothing,  # all that it holds is its bit generator
    ("numpy.random.mtrand", "RandomState"): _random_state,
}
"""By module and name, as nothing is imported for them."""


def way_of(cls: Any) -> Way | None:
    """How it is done beside the attributes; None: they are all there is, or it can't be done."""
    return _found(cls)[0]


def as_it_was(cls: Any) -> bool:
    """Whether the attributes of its instances can be written back."""
    return _found(cls)[1]


def fits(original: Any, copied: Any) -> bool:
    """Whether the content of a copy can be written into what was copied, of the same class."""
    kind: Any = type(original)  # as any: mypy takes no class for hashable
    way, by_attributes = _found(kind)
    if way is _stream:
        return not original.closed
    if way is _array:
        return bool(original.shape == copied.shape and original.dtype == copied.dtype)
    return way is not None or by_attributes


@functools.lru_cache(maxsize=10_000)
def _found(cls: type) -> tuple[Way | None, bool]:
    for base in cls.__mro__:
        way = _OF_PACKAGES.get((base.__module__, base.__qualname__))
        if way is not None:
            return way, True
    for base in cls.__mro__[:-1]:
        if base in _WHOLE:
            return _WHOLE[base], False
        if base in _WAYS:
            return _WAYS[base], True
        if not _is_plain(base):
            return None, False
    return None, True


def _is_plain(cls: type) -> bool:
    """Whether a class statement made it; others hold more than their attributes."""
    made = vars(cls).get("__new__")
    return bool(cls.__flags__ & _HEAP_TYPE) and not isinstance(made, types.BuiltinFunctionType)
