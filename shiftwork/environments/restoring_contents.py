"""What objects hold beside their attributes: how it is noted, compared and put back, kind by kind.

Whatever a class defines itself is gone round: a `list` that writes a log in its `append` is put back by
`list`'s own methods. Objects within are noted as the objects that they are, and never copied.
"""

import array
import functools
import io
import operator
import random
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
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
        finds: whether it finds what it holds, but for what it did not find when it was noted.
        beside: what was noted beside the objects in it, to be compared by value.
    """

    note: Callable[[Any], Any]
    within: Callable[[Any], Iterable[Any]]
    holds: Callable[[Any, Any], bool]
    put: Callable[[Any, Any], None]
    hashes: bool = False
    can: Callable[[Any, Any], bool] = lambda *_: True
    finds: Callable[[Any, Any], bool] = lambda *_: True
    beside: Callable[[Any], Any] = lambda _: None


def same_objects(some: Any, others: Any) -> bool:
    """Whether two sequences have the very same objects."""
    return len(some) == len(others) and all(map(operator.is_, some, others))


def nothing(*_: Any) -> Any:
    return ()


PLAIN: Final = frozenset({str, int, float, bool, bytes, type(None)})
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

    def note(owner: Any) -> tuple[list[Any], list[Any], Any, tuple[int, ...]]:
        keys = list(kind.keys(owner))
        return keys, list(kind.values(owner)), owner.default_factory if factory else None, lost(owner, keys)

    def within(noted: tuple[Any, ...]) -> Iterable[Any]:
        return (*noted[0], *noted[1], noted[2])

    def holds(owner: Any, noted: tuple[Any, ...]) -> bool:
        if factory and owner.default_factory is not noted[2]:
            return False
        keys, values = list(kind.keys(owner)), list(kind.values(owner))
        return same_objects(keys, noted[0]) and same_objects(values, noted[1])

    def put(owner: Any, noted: tuple[Any, ...]) -> None:
        if factory:
            owner.default_factory = noted[2]
        _write(kind, owner, noted, anew=not finds(owner, noted))

    def lost(owner: Any, keys: list[Any]) -> tuple[int, ...]:
        return lost_among(keys, lambda key: bool(kind.__contains__(owner, key)))

    def finds(owner: Any, noted: tuple[Any, ...]) -> bool:
        return bool(lost(owner, list(kind.keys(owner))) == noted[3])

    return Content(note, within, holds, put, hashes=True, finds=finds)


def _write(kind: Any, owner: Any, noted: tuple[Any, ...], *, anew: bool) -> None:
    """Have a dictionary hold what was noted; what it did not find then can only be written anew."""
    keys, values, _, lost = noted
    now = list(kind.values(owner))
    same = same_objects(list(kind.keys(owner)), keys) and all(now[at] is values[at] for at in lost)
    if anew or not same:
        kind.clear(owner)
        now = []
    for at, key in enumerate(keys):
        if not now or now[at] is not values[at]:
            kind.__setitem__(owner, key, values[at])


def lost_among(elements: list[Any], is_found: Callable[[Any], bool]) -> tuple[int, ...]:
    """The places of those that a container can't find: their hashes have changed since they came into it."""
    if PLAIN.issuperset(map(type, elements)):
        return ()
    return tuple(at for at, each in enumerate(elements) if type(each) not in PLAIN and not is_found(each))


def _numbers(kind: Any) -> Content:
    """Of plain numbers side by side."""

    def holds(owner: Any, noted: Any) -> bool:
        return bool(memoryview(owner).tobytes() == memoryview(noted).tobytes())  # a NaN is like no other

    def put(owner: Any, noted: Any) -> None:
        kind.__setitem__(owner, slice(None), noted)

    return Content(
        lambda owner: kind.__getitem__(owner, slice(None)),
        nothing,
        holds,
        put,
        beside=lambda noted: memoryview(noted).tobytes(),
    )


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

    return Content(
        note,
        nothing,
        holds,
        put,
        can=lambda owner, noted: (noted is None) == owner.closed,
        beside=lambda noted: noted,
    )


def _chance_put(owner: random.Random, noted: Any) -> None:
    random.Random.setstate(owner, noted)


def _kept(owner: Any) -> list[Any]:
    return list(owner.values() if isinstance(owner, weakref.WeakValueDictionary) else owner)


KEPT: Final = Content(_kept, nothing, lambda *_: True, nothing)
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
    lambda owner: owner.__reduce__(),
    lambda noted: noted[1],
    _iterator_holds,
    _iterator_put,
    beside=lambda noted: noted[2:],
)
"""Over what has numbered elements: it knows the number of the next one."""

CONTENTS: Final[dict[type, Content]] = {
    list: LIST,
    deque: DEQUE,
    dict: _mapping(dict),
    OrderedDict: _mapping(OrderedDict),
    defaultdict: _mapping(defaultdict, factory=True),
    bytearray: _numbers(bytearray),
    array.array: _numbers(array.array),
    io.StringIO: _stream(io.StringIO),
    io.BytesIO: _stream(io.BytesIO),
    random.Random: Content(
        random.Random.getstate,
        nothing,
        lambda owner, noted: bool(random.Random.getstate(owner) == noted),
        _chance_put,
        beside=lambda noted: noted,
    ),
    weakref.finalize: Content(
        lambda owner: owner.alive,
        nothing,
        lambda owner, noted: owner.alive == noted,
        nothing,
        can=lambda owner, noted: owner.alive == noted,
        beside=lambda noted: noted,
    ),
    functools.partial: Content(
        lambda owner: (owner.func, owner.args, owner.keywords),
        iter,
        lambda owner, noted: same_objects((owner.func, owner.args, owner.keywords), noted),
        lambda owner, noted: owner.__setstate__((*noted, owner.__dict__)),
    ),
    weakref.WeakValueDictionary: KEPT,
    weakref.WeakKeyDictionary: KEPT,
    weakref.WeakSet: KEPT,
}
LOCK: Final = Content(
    _lock_note, nothing, _lock_holds, _lock_put, can=_lock_holds, beside=lambda noted: noted
)
