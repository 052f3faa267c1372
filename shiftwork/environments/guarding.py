"""Guards around methods of classes: who calls one is held to the rules, but not what it calls in turn."""

import functools
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Protocol

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


@dataclass(slots=True)
class _Call:
    """A guarded method of an object that is running, or was."""

    of: int
    over: bool = False


_calls: ContextVar[tuple[_Call, ...]] = ContextVar("calls", default=())
"""Those that this code is part of: what they call in turn, `super()` and tasks that they wait for too, is not
guarded. A task that outlives the call in which it was begun has it here too, but over."""


def guarded(keep: Callable[[Any], Locked], guard: Guard) -> Wrap:
    """What puts a guard around a method; `keep` has what is kept beside an object."""

    def wrap(inner: Method) -> Method:
        @functools.wraps(inner)
        # By position alone: parameters of actions may have any name.
        async def outer(self: object, /, *arguments: Any, **options: Any) -> Any:
            going_on = tuple(call for call in _calls.get() if not call.over)
            if any(call.of == id(self) for call in going_on):
                return await inner(self, *arguments, **options)
            async with keep(self).lock.turn():
                call = _Call(id(self))
                token = _calls.set((*going_on, call))
                try:
                    return await guard(self, inner, *arguments, **options)
                finally:
                    call.over = True
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
