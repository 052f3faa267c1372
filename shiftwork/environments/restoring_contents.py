"""What objects hold beside their attributes: how it is noted, compared and put back, kind by kind.

Whatever a class defines itself is gone round: a `list` that writes a log in its `append` is put back by
`list`'s own methods. Objects within are noted as the objects that they are, and never copied.
"""

import array
import io
import operator
import random
import sys
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final


class CanNotPutBack(Exception):  # noqa: N818 - it says what is the case
    """An object that can't be put back as it was; the text says which kind."""


@dataclass(frozen=True, slots=True)
class Content:
    """How one kind of object is dealt with.

    Attributes:
        note: what it holds at this moment, as far as it can change.
        within: the objects in what was noted.
        holds: whether an object holds what was noted, and nothing else, in that order.
        put: have it hold that; what can't be done raises, or `holds` finds it.
        hashes: whether it finds its elements by hashes, which may be made of what else is put back.
        can: whether it can still be put back; looked at before anything is written.
        finds: whether it finds all that it holds.
    """

    note: Callable[[Any], Any]
    within: Callable[[Any], Iterable[Any]]
    holds: Callable[[Any, Any], bool]
    put: Callable[[Any, Any], None]
    hashes: bool = False
    can: Callable[[Any, Any], bool] = lambda *_: True
    finds: Callable[[Any], bool] = lambda _: True


def same_objects(some: Any, others: Any) -> bool:
    """Whether two sequences have the very same objects."""
    return len(some) == len(others) and all(map(operator.is_, some, others))


def _nothing(*_: Any) -> Any:
    return ()


_PLAIN: Final = frozenset({str, int, float, bool, bytes, type(None)})
"""Of which the hash never changes."""


def _list_put(owner: list[Any], noted: list[Any]) -> None:
    list.__setitem__(owner, slice(None), noted)


LIST: Final = Content(
    lambda owner: list(list.__iter__(owner)),
    iter,
    lambda owner, noted: same_objects(list(list.__iter__(owner)), noted),
    _list_put,
)


def _deque_put(owner: deque[Any], noted: list[Any]) -> None:
    deque.clear(owner)
    deque.extend(owner, noted)


DEQUE: Final = Content(
    lambda owner: list(deque.__iter__(owner)),
    iter,
    lambda owner, noted: same_objects(list(deque.__iter__(owner)), noted),
    _deque_put,
)


def _mapping(kind: Any, *, factory: bool = False) -> Content:
    """Of dictionaries, by the methods of this class."""

    def note(owner: Any) -> tuple[list[Any], list[Any], Any]:
        return list(kind.keys(owner)), list(kind.values(owner)), owner.default_factory if factory else None

    def within(noted: tuple[list[Any], list[Any], Any]) -> Iterable[Any]:
        return (*noted[0], *noted[1], noted[2])

    def holds(owner: Any, noted: tuple[list[Any], list[Any], Any]) -> bool:
        if factory and owner.default_factory is not noted[2]:
            return False
        keys, values = list(kind.keys(owner)), list(kind.values(owner))
        return same_objects(keys, noted[0]) and same_objects(values, noted[1])

    def put(owner: Any, noted: tuple[list[Any], list[Any], Any]) -> None:
        if factory:
            owner.default_factory = noted[2]
        if not same_objects(list(kind.keys(owner)), noted[0]) or not finds(owner):
            kind.clear(owner)
        for key, value in zip(noted[0], noted[1], strict=True):
            kind.__setitem__(owner, key, value)

    def finds(owner: Any) -> bool:
        return all(type(key) in _PLAIN or kind.__contains__(owner, key) for key in kind.keys(owner))

    return Content(note, within, holds, put, hashes=True, finds=finds)


def _set_note(owner: set[Any]) -> tuple[list[Any], int]:
    return list(set.__iter__(owner)), sys.getsizeof(owner)


def _set_put(owner: set[Any], noted: tuple[list[Any], int]) -> None:
    set.clear(owner)
    set.update(owner, noted[0])


def _set_holds(owner: set[Any], noted: tuple[list[Any], int]) -> bool:
    return set(map(id, set.__iter__(owner))) == set(map(id, noted[0]))


def is_untouched(owner: set[Any], noted: tuple[list[Any], int]) -> bool:
    """Whether a set has these elements in this order and width, which are made by all that was ever in it."""
    return same_objects(list(set.__iter__(owner)), noted[0]) and sys.getsizeof(owner) == noted[1]


def _set_finds(owner: set[Any]) -> bool:
    return all(type(each) in _PLAIN or set.__contains__(owner, each) for each in set.__iter__(owner))


SET: Final = Content(_set_note, lambda noted: noted[0], _set_holds, _set_put, hashes=True, finds=_set_finds)


def _numbers(kind: Any) -> Content:
    """Of plain numbers side by side."""

    def holds(owner: Any, noted: Any) -> bool:
        return bool(memoryview(owner).tobytes() == memoryview(noted).tobytes())  # a NaN is like no other

    def put(owner: Any, noted: Any) -> None:
        kind.__setitem__(owner, slice(None), noted)

    return Content(lambda owner: kind.__getitem__(owner, slice(None)), _nothing, holds, put)


def _stream(kind: Any) -> Content:
    """Of files in memory; one that was closed stays so."""

    def note(owner: Any) -> Any:
        return None if owner.closed else kind.__getstate__(owner)[:-1]  # the last are its attributes

    def put(owner: Any, noted: Any) -> None:
        if noted is None or owner.closed:
            raise CanNotPutBack("a file in memory that was closed or opened")
        kind.__setstate__(owner, (*noted, None))

    def holds(owner: Any, noted: Any) -> bool:
        return bool(note(owner) == noted)

    return Content(note, _nothing, holds, put, can=lambda owner, noted: (noted is None) == owner.closed)


def _chance_put(owner: random.Random, noted: Any) -> None:
    random.Random.setstate(owner, noted)


def _kept(owner: Any) -> list[Any]:
    return list(owner.values() if isinstance(owner, weakref.WeakValueDictionary) else owner)


KEPT: Final = Content(_kept, _nothing, lambda *_: True, _nothing)
"""What is referred to weakly has to live until it can be put back; by what, its attributes say."""


def _lock_put(*_: Any) -> None:
    raise CanNotPutBack("a lock that is held by now, or was before")


def _lock_note(owner: Any) -> str:
    return repr(owner).partition(" object")[0] + repr(owner).partition("owner=")[2].partition(" at ")[0]


def _iterator_put(owner: Any, noted: tuple[Any, ...]) -> None:
    if len(noted) == 3 and isinstance(noted[2], int):
        owner.__setstate__(noted[2])


def _iterator_holds(owner: Any, noted: tuple[Any, ...]) -> bool:
    now = owner.__reduce__()
    if len(now) < 3 or len(noted) < 3:
        return len(now) == len(noted)  # at its end
    return same_objects(now[1], noted[1]) and now[2:] == noted[2:]


def _lock_holds(owner: Any, noted: str) -> bool:
    return _lock_note(owner) == noted


ITERATOR: Final = Content(
    lambda owner: owner.__reduce__(), lambda noted: noted[1], _iterator_holds, _iterator_put
)
"""Over what has numbered elements: it knows the number of the next one."""

CONTENTS: Final[dict[type, Content]] = {
    list: LIST,
    deque: DEQUE,
    dict: _mapping(dict),
    OrderedDict: _mapping(OrderedDict),
    defaultdict: _mapping(defaultdict, factory=True),
    set: SET,
    bytearray: _numbers(bytearray),
    array.array: _numbers(array.array),
    io.StringIO: _stream(io.StringIO),
    io.BytesIO: _stream(io.BytesIO),
    random.Random: Content(
        random.Random.getstate,
        _nothing,
        lambda owner, noted: bool(random.Random.getstate(owner) == noted),
        _chance_put,
    ),
    weakref.WeakValueDictionary: KEPT,
    weakref.WeakKeyDictionary: KEPT,
    weakref.WeakSet: KEPT,
}
LOCK: Final = Content(_lock_note, _nothing, _lock_holds, _lock_put, can=_lock_holds)


# Of numpy ---------------------------------------------------------------------------------------------------


def _plain(owner: Any) -> Any:
    return owner.view(sys.modules["numpy"].ndarray)


def _array_note(owner: Any) -> tuple[Any, ...]:
    if owner.dtype.hasobject and owner.dtype != object:
        raise CanNotPutBack("an array of records with objects")
    flat = _plain(owner)
    where = (owner.shape, owner.strides, owner.dtype, owner.__array_interface__["data"][0])
    of_another = isinstance(owner.base, type(flat))  # which has what this one shows
    return None if of_another else flat.copy(), owner.base, owner.flags.writeable, where


def _array_within(noted: tuple[Any, ...]) -> Iterable[Any]:
    yield noted[1]
    if noted[0] is not None and noted[0].dtype == object:
        yield from noted[0].flat


def _array_is_there(owner: Any, noted: tuple[Any, ...]) -> bool:
    now = (owner.shape, owner.strides, owner.dtype, owner.__array_interface__["data"][0])
    return bool(now == noted[3])


def _array_has(owner: Any, noted: tuple[Any, ...]) -> bool:
    if noted[0] is None:
        return True
    if owner.dtype == object:
        return same_objects(list(_plain(owner).flat), list(noted[0].flat))
    return bool(_plain(owner).tobytes() == noted[0].tobytes())


def _array_holds(owner: Any, noted: tuple[Any, ...]) -> bool:
    if not _array_is_there(owner, noted):
        return False
    return owner.flags.writeable == noted[2] and _array_has(owner, noted)


def _array_put(owner: Any, noted: tuple[Any, ...]) -> None:
    if not _array_is_there(owner, noted):
        raise CanNotPutBack("an array of which the shape was changed")
    if not _array_has(owner, noted):
        owner.flags.writeable = True
        _plain(owner)[...] = noted[0]
    if owner.flags.writeable != noted[2]:
        owner.flags.writeable = noted[2]


def _is_same_state(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_is_same_state(one[key], other[key]) for key in one)
    if isinstance(one, tuple):
        return all(map(_is_same_state, one, other))
    same = one == other
    return bool(same if isinstance(same, bool) else same.all())


def _spawned(owner: Any) -> int:
    """Children that its seeds were made for, which can't be taken back."""
    with suppress(AttributeError):
        return int(owner.seed_seq.n_children_spawned)
    return 0


def _bits_put(owner: Any, noted: tuple[Any, int]) -> None:
    owner.state = noted[0]


def _legacy(owner: Any) -> Any:
    return owner.get_state(legacy=False)


def _legacy_put(owner: Any, noted: Any) -> None:
    owner.set_state(noted)


OF_PACKAGES: Final[dict[tuple[str, str], Content]] = {
    ("numpy", "ndarray"): Content(_array_note, _array_within, _array_holds, _array_put, can=_array_is_there),
    ("numpy.random.bit_generator", "BitGenerator"): Content(
        lambda owner: (owner.state, _spawned(owner)),
        _nothing,
        lambda owner, noted: _is_same_state((owner.state, _spawned(owner)), noted),
        _bits_put,
    ),
    ("numpy.random._generator", "Generator"): Content(
        lambda owner: owner.bit_generator,
        lambda noted: (noted,),
        lambda owner, noted: owner.bit_generator is noted,
        _nothing,
    ),
    ("numpy.random.mtrand", "RandomState"): Content(
        _legacy, _nothing, lambda owner, noted: _is_same_state(_legacy(owner), noted), _legacy_put
    ),
}
"""By module and name, as nothing is imported for them."""
