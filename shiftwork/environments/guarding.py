"""Guards around methods of classes: who calls one is held to the rules, but not what it calls in turn."""

import functools
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from weakref import WeakSet

from shiftwork.environments.one_by_one import OneByOne

Method = Callable[..., Any]
Guard = Callable[..., Awaitable[Any]]
Wrap = Callable[[Method], Method]

_KIND: Final = "_shiftwork_guard"
_OWN: Final = "own"
_LENT: Final = "lent"


class Locked(Protocol):
    """What is kept beside an object that is guarded."""

    @property
    def lock(self) -> OneByOne:
        """One guarded method at a time."""


@dataclass(slots=True, eq=False)
class Call:
    """A guarded method of an object that is running, or was.

    Attributes:
        of: the id of the object.
        generators: async generators that it has begun.
    """

    of: int
    over: bool = False
    generators: WeakSet[Any] = field(default_factory=WeakSet)


_calls: ContextVar[tuple[Call, ...]] = ContextVar("calls", default=())
"""Those that this code is part of: what they call in turn, `super()` and tasks that they wait for too, is not
guarded. A task that outlives the call in which it was begun has it here too, but over."""


def this_call() -> Call:
    """That whose guard asks, the innermost."""
    return _calls.get()[-1]


def _calls_now() -> tuple[Call, ...]:
    """Those that this code is part of, and that are not over."""
    return tuple(call for call in _calls.get() if not call.over)


def calls_in(context: Context) -> tuple[Call, ...]:
    """Those that code of another context is part of, the ones included that are over."""
    return context.get(_calls, ())


class _Noting:
    """A hook for async generators that begin, before another one: notes which calls they are part of."""

    def __init__(self, before: Callable[[Any], None] | None) -> None:
        self._before = before

    def __call__(self, generator: Any) -> None:
        if self._before is not None:
            self._before(generator)
        for call in _calls_now():
            call.generators.add(generator)


def _note_generators() -> None:
    """In this thread, until its event loop ends: that takes its own hooks away, and so this one."""
    before: Callable[[Any], None] | None = sys.get_asyncgen_hooks().firstiter
    if not isinstance(before, _Noting):
        sys.set_asyncgen_hooks(firstiter=_Noting(before))


@contextmanager
def another_call() -> Iterator[None]:
    """What is begun meanwhile is not this call's: it stays where this call fails."""
    *around, call = _calls.get()
    token = _calls.set((*around, Call(call.of)))
    try:
        yield
    finally:
        _calls.reset(token)


def guarded(keep: Callable[[Any], Locked], guard: Guard) -> Wrap:
    """What puts a guard around a method; `keep` has what is kept beside an object."""

    def wrap(inner: Method) -> Method:
        @functools.wraps(inner)
        # By position alone: parameters of actions may have any name.
        async def outer(self: object, /, *arguments: Any, **options: Any) -> Any:
            going_on = _calls_now()
            if any(call.of == id(self) for call in going_on):
                return await inner(self, *arguments, **options)
            async with keep(self).lock.turn():
                call = Call(id(self))
                token = _calls.set((*going_on, call))
                _note_generators()
                try:
                    return await guard(self, inner, *arguments, **options)
                finally:
                    call.over = True
                    call.generators.clear()
                    with suppress(ValueError):  # it is another context that ends what was dropped
                        _calls.reset(token)

        return outer

    return wrap


def guard_class(cls: type, guards: Mapping[str, Wrap]) -> None:
    """Guard what a class defines itself, and what it has from classes that are not guarded (mixins)."""
    for name, wrap in guards.items():
        owner = next(
            (each for each in cls.__mro__ if name in vars(each) and not _is(each, name, _LENT)), None
        )
        if owner is cls:
            _put(cls, name, wrap(vars(cls)[name]), _OWN)
        elif owner is not None and not (_is(owner, name, _OWN) and _first(cls, name) is owner):
            _put(cls, name, wrap(vars(owner)[name]), _LENT)


def _first(cls: type, name: str) -> type:
    return next(each for each in cls.__mro__ if name in vars(each))


def _is(cls: type, name: str, kind: str) -> bool:
    return getattr(vars(cls)[name], _KIND, None) == kind


def _put(cls: type, name: str, method: Method, kind: str) -> None:
    setattr(method, _KIND, kind)
    setattr(cls, name, method)
