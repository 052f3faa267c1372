"""Which objects can be put back, and how: by attributes, by content, or not at all."""

import asyncio
import datetime as dt
import decimal
import enum
import functools
import gc
import logging
import operator
import pathlib
import re
import threading
import types
import uuid
import weakref
import zoneinfo
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from shiftwork.environments.one_by_one import OneByOne
from shiftwork.environments.restoring_contents import CONTENTS, ITERATOR, LOCK, Content
from shiftwork.environments.restoring_numpy import OF_NUMPY
from shiftwork.environments.restoring_sets import SET
from shiftwork.environments.sharing import MadeAgain, NeverChanges

_HEAP, _IMMUTABLE = 1 << 9, 1 << 8
"""In `__flags__`: a class statement makes classes that have the first and not the second (`Py_TPFLAGS_…`)."""

_OWN: Final = vars(type)["__dict__"]
"""As most classes have it, where it shows the attributes of their instances."""

_SHOWS: Final = (types.GetSetDescriptorType, types.MemberDescriptorType)

_POINTER: Final = 8
"""Bytes of a slot."""

_MOST_KINDS: Final = 10_000
"""Classes of which it is remembered what is to be done."""

_STAYS: Final = frozenset(
    {
        *(type(None), bool, int, float, complex, str, bytes, range, type(...), type(NotImplemented)),
        *(types.FunctionType, types.MethodDescriptorType, types.WrapperDescriptorType),
        *(types.ClassMethodDescriptorType, types.GetSetDescriptorType),
        *(types.MemberDescriptorType, types.GenericAlias, types.UnionType, types.CodeType, property),
        *(staticmethod, classmethod, re.Pattern, re.Match, dt.date, dt.time, dt.datetime),
        *(dt.timedelta, dt.timezone, decimal.Decimal, uuid.UUID, zoneinfo.ZoneInfo),
        *(operator.itemgetter, operator.attrgetter, operator.methodcaller, type(functools.lru_cache(int))),
        *(
            weakref.ref,
            weakref.ProxyType,
            weakref.CallableProxyType,
            pathlib.PurePosixPath,
            pathlib.PosixPath,
            object,
        ),
    }
)
"""Nothing in them changes; or what does is a function's, and not put back."""

_STAY: Final = (
    *(type, types.ModuleType, enum.Enum, logging.Logger, asyncio.AbstractEventLoop),
    *(NeverChanges, OneByOne),
)
"""So are those, with all that derives from them: they are what they are, or everybody's."""


def _mapped(owner: object) -> Iterable[Any]:
    """What it shows; not what a class has."""
    return (each for each in gc.get_referents(owner) if not (type(each) is dict and "__module__" in each))


_IMMUTABLE_PARTS: Final[dict[type, Callable[[Any], Iterable[Any]]]] = {
    tuple: tuple.__iter__,
    frozenset: frozenset.__iter__,
    types.MethodType: lambda owner: (owner.__self__, owner.__func__),
    types.BuiltinFunctionType: lambda owner: (owner.__self__,),
    types.MethodWrapperType: lambda owner: (owner.__self__,),
    types.MappingProxyType: _mapped,
    slice: lambda owner: (owner.start, owner.stop, owner.step),
}
"""What holds the same objects for ever, and which."""

_VALUES: Final = (int, float, complex, str, bytes, dt.date, dt.time, dt.timedelta, weakref.ref)
_LOCKS: Final = (type(threading.Lock()), type(threading.RLock()))
_ITERATORS: Final[tuple[Any, ...]] = (type(iter([])), type(reversed([])), type(iter(())))
_STAY_IN_NUMPY: Final = frozenset({("numpy", "dtype"), ("numpy", "generic"), ("numpy", "ufunc")})
"""They stay what they are, but for records, which are views."""

_DRAWS: Final = frozenset(name for name in OF_NUMPY if name[0].startswith("numpy.random."))


_OTHERS_WAIT: Final = frozenset(
    {
        *("threading", "queue", "concurrent", "multiprocessing", "asyncio", "anyio", "trio", "sched"),
        *("subprocess", "socket", "ssl", "selectors", "socketserver", "http", "dbm", "shelve"),
        *("requests", "urllib3", "httpx", "httpcore", "aiohttp"),
    }
)
"""Packages and modules of what threads, tasks, processes or machines beside the environment wait for."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is to be done with instances of a class.

    Attributes:
        stays: nothing is: none of them changes.
        content: what they hold beside their attributes.
        within: other objects that they hold for ever.
        slots: descriptors of their slots.
        named: whether they can have attributes.
        why: they can't be put back; what they are.
    """

    stays: bool = False
    content: Content | None = None
    within: Callable[[Any], Iterable[Any]] | None = None
    slots: tuple[types.MemberDescriptorType, ...] = ()
    named: bool = True
    why: str = ""

    @property
    def changes(self) -> bool:
        """Whether there is more to them than which others they hold for ever."""
        return bool(self.content or self.slots or self.named or self.why)


def kind_of(cls: Any) -> Kind:
    """What is to be done with instances of this class."""
    return _kind_of(cls)


@functools.lru_cache(maxsize=_MOST_KINDS)
def _kind_of(cls: type) -> Kind:
    if cls in _STAYS or issubclass(cls, _STAY):
        return Kind(stays=True)
    if not all(isinstance(vars(base).get("__dict__", _OWN), _SHOWS) for base in cls.__mro__):
        return Kind(why=f"{cls.__qualname__}, which hides its attributes,")
    names = {(base.__module__, base.__qualname__) for base in cls.__mro__}
    if names & _STAY_IN_NUMPY and ("numpy", "void") not in names:
        return Kind(stays=True)
    own = cls.__mro__[:-1]
    if names & _DRAWS:  # of which numpy has many kinds
        own = tuple(base for base in own if not base.__module__.startswith("numpy.random."))
    known = tuple(base for base in own if _is_known(base))
    seen = (_is_made_by_statement(base) or any(issubclass(one, base) for one in known) for base in own)
    waited = any(base.__module__.partition(".")[0] in _OTHERS_WAIT for base in own)
    if issubclass(cls, MadeAgain) or waited or not all(seen):
        return Kind(why=cls.__qualname__)
    contents = (_content(base) for base in cls.__mro__)
    parts = (_IMMUTABLE_PARTS.get(base) for base in cls.__mro__)
    slots = (
        each
        for base in cls.__mro__
        if _is_made_by_statement(base) and "__slots__" in vars(base)
        for each in vars(base).values()
    )
    return Kind(
        content=next(filter(None, contents), None),
        within=next(filter(None, parts), None),
        slots=tuple(each for each in slots if isinstance(each, types.MemberDescriptorType)),
        named=cls.__dictoffset__ != 0,
    )


def _is_known(cls: type) -> bool:
    """Whether it is known what instances hold beside attributes, of what it derives from, too."""
    known = cls in _IMMUTABLE_PARTS or cls in _VALUES or cls is types.SimpleNamespace
    return known or _content(cls) is not None


def _content(cls: type) -> Content | None:
    known = SET if cls is set else CONTENTS.get(cls)
    return known or OF_NUMPY.get((cls.__module__, cls.__qualname__)) or _others(cls)


def _others(cls: type) -> Content | None:
    if cls in _LOCKS:
        return LOCK
    return ITERATOR if cls in _ITERATORS else None


def _is_made_by_statement(cls: type) -> bool:
    """Whether a class statement made it: others may hold more than can be seen."""
    if not cls.__flags__ & _HEAP or cls.__flags__ & _IMMUTABLE or cls.__base__ is None:
        return False
    named = vars(cls)
    slots = sum(isinstance(each, types.MemberDescriptorType) for each in named.values())
    size = cls.__basicsize__ - cls.__base__.__basicsize__ - slots * _POINTER
    return 0 <= size <= _POINTER * (("__dict__" in named) + ("__weakref__" in named))
