"""How arrays and generators of numpy are noted, compared and put back."""

import pickle
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from shiftwork.environments.restoring_contents import CanNotPutBack, Content, nothing, same_objects


def _plain(owner: Any) -> Any:
    return owner.view(sys.modules["numpy"].ndarray)


def _array_note(owner: Any) -> tuple[Any, ...]:
    if owner.dtype.hasobject and owner.dtype != object:
        raise CanNotPutBack("an array of records with objects")
    flat = _plain(owner)
    where = (owner.shape, owner.strides, owner.dtype, owner.__array_interface__["data"][0])
    return None if _is_of_another(owner) else flat.copy(), owner.base, owner.flags.writeable, where


def _is_of_another(owner: Any) -> bool:
    """Whether it shows what another array has, which is noted itself: perhaps many times, in many windows."""
    base = owner.base
    if type(base).__module__.startswith("numpy.lib.") and type(base).__name__ == "DummyArray":
        base = base.base
    return isinstance(base, sys.modules["numpy"].ndarray)


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


def _array_beside(noted: tuple[Any, ...]) -> Any:
    shown = noted[0] is not None and noted[0].dtype != object
    return noted[3][:3], noted[2], noted[0].tobytes() if shown else None


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


OF_NUMPY: Final[dict[tuple[str, str], Content]] = {
    ("numpy", "ndarray"): Content(
        _array_note,
        _array_within,
        _array_holds,
        _array_put,
        can=_array_is_there,
        beside=_array_beside,
    ),
    ("numpy.random.bit_generator", "BitGenerator"): Content(
        lambda owner: (owner.state, _spawned(owner)),
        nothing,
        lambda owner, noted: _is_same_state((owner.state, _spawned(owner)), noted),
        _bits_put,
        beside=pickle.dumps,
    ),
    ("numpy.random._generator", "Generator"): Content(
        lambda owner: owner.bit_generator,
        lambda noted: (noted,),
        lambda owner, noted: owner.bit_generator is noted,
        nothing,
    ),
    ("numpy.random.mtrand", "RandomState"): Content(
        _legacy,
        nothing,
        lambda owner, noted: _is_same_state(_legacy(owner), noted),
        _legacy_put,
        beside=pickle.dumps,
    ),
}
"""By module and name, as nothing is imported for them."""
