"""How sets are noted, compared and put back.

What a set pops next, and where it has what is added, follows from all that was ever in it: where its search
for the next one begins, and places of elements that are gone, show in no order and no size. They are in its
memory, which is read and never written: the same memory is the same set. Lists, deques, dictionaries and
arrays have nothing of that kind: what room they keep for more, and where, changes nothing that can be seen.
"""

import ctypes
import sys
from typing import Any, Final

from shiftwork.environments.restoring_contents import Content, lost_among, same_objects

_SMALLEST: Final = 8
"""Places that each set has within itself."""


class _Place(ctypes.Structure):
    _fields_ = (("key", ctypes.c_void_p), ("hash", ctypes.c_ssize_t))


class _Memory(ctypes.Structure):
    """CPython's `PySetObject`."""

    _fields_ = (
        ("head", ctypes.c_char * object.__basicsize__),
        ("fill", ctypes.c_ssize_t),
        ("used", ctypes.c_ssize_t),
        ("mask", ctypes.c_ssize_t),
        ("table", ctypes.POINTER(ctypes.c_char)),
        ("hash", ctypes.c_ssize_t),
        ("finger", ctypes.c_ssize_t),
        ("smallest", _Place * _SMALLEST),
        ("weak", ctypes.c_void_p),
    )


_PLACE: Final = ctypes.sizeof(_Place)


def _memory(owner: set[Any]) -> tuple[int, int, bytes]:
    """All of it that changes, but for what follows from the rest."""
    memory = _Memory.from_address(id(owner))
    # No call, and so no other thread, comes between a set's size and its places here.
    return memory.fill, memory.finger, memory.table[: (memory.mask + 1) * _PLACE]


def _is_as_known() -> bool:
    """Whether sets lie in memory here as is known of them; nothing is read from where it may not be."""
    if sys.implementation.name != "cpython" or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return False
    if set.__basicsize__ != ctypes.sizeof(_Memory):
        return False
    found: set[int] = set()
    within = id(found) + _Memory.smallest.offset

    def told() -> tuple[int, int, int, int, bool]:
        memory = _Memory.from_address(id(found))
        address = ctypes.cast(memory.table, ctypes.c_void_p).value
        return memory.fill, memory.used, memory.mask, memory.finger, address == within

    seen = [told()]
    for change in (
        lambda: found.update((1, 2, 4)),
        found.pop,
        lambda: found.discard(4),
        lambda: found.add(3),
    ):
        change()
        seen.append(told())
    small = (_SMALLEST - 1,)
    expected = [(0, 0), (3, 3), (3, 2), (3, 1), (4, 2)]
    fingers = [0, 0, 2, 2, 2]
    if seen != [(*each, *small, finger, True) for each, finger in zip(expected, fingers, strict=True)]:
        return False
    places = [_Place.from_buffer_copy(_memory(found)[2], at * _PLACE) for at in range(_SMALLEST)]
    held = [places[2].key, places[3].key] == [id(2), id(3)] and [places[2].hash, places[3].hash] == [2, 3]
    found.update(range(100, 200))
    wide = told()
    return held and wide[1] == len(found) and wide[2] > len(found) and not wide[4]


try:
    _READS: bool = _is_as_known()
except Exception:  # noqa: BLE001 - whatever another interpreter has there
    _READS = False


Noted = tuple[list[Any], tuple[int, int, bytes] | None, tuple[int, ...]]
"""Of a set: its elements, its memory where that can be read, and the places of those that it can't find."""


def _note(owner: set[Any]) -> Noted:
    elements = list(set.__iter__(owner))
    return elements, _memory(owner) if _READS else None, _lost(owner, elements)


def _put(owner: set[Any], noted: Noted) -> None:
    set.clear(owner)
    set.update(owner, noted[0])


def _holds(owner: set[Any], noted: Noted) -> bool:
    now = list(set.__iter__(owner))
    return same_objects(now, noted[0]) or set(map(id, now)) == set(map(id, noted[0]))


def is_untouched(owner: set[Any], noted: Noted) -> bool:
    """Whether a set is as it was, with what it pops next, and where it has what is added."""
    return _READS and _memory(owner) == noted[1]


def _lost(owner: set[Any], elements: list[Any]) -> tuple[int, ...]:
    return lost_among(elements, lambda each: set.__contains__(owner, each))


def _finds(owner: set[Any], noted: Noted) -> bool:
    elements = list(set.__iter__(owner))
    missing, known = _lost(owner, elements), noted[2]
    return {id(elements[at]) for at in missing} == {id(noted[0][at]) for at in known}


SET: Final = Content(_note, lambda noted: noted[0], _holds, _put, hashes=True, finds=_finds)
