"""Putting an object back to what it held, part by part: each part stays the object that it is.

Nothing is copied: of each object that can be reached and may change it is noted which objects it holds, and
these are written into it again. So identity, aliases, cycles, weak references and views are right without
anything being done for them. What can't be noted whole is not noted at all, and after everything was put back
it is looked at once more: either all is as it was, or it is said that it is not.
"""

import builtins
import os
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from shiftwork.environments.failures import is_failure
from shiftwork.environments.garbage import collect, collect_newest, passes
from shiftwork.environments.restoring_contents import (
    PLAIN,
    CanNotPutBack,
    Content,
    same_objects,
)
from shiftwork.environments.restoring_kinds import Kind, kind_of
from shiftwork.environments.restoring_sets import is_untouched

_DRAWN: Final = getattr(random.random, "__self__", None)
"""What `random.random` and its like draw from."""

_MISSING: Final = object()
"""In a slot: nothing."""


class _Noted:
    """One object, and what it held."""

    __slots__ = ("attributes", "cls", "content", "kind", "owner", "slots")

    def __init__(self, owner: Any, kind: Kind) -> None:
        if kind.why:
            raise CanNotPutBack(f"a {kind.why} can't be put back")
        self.owner = owner
        self.kind = kind
        self.cls = type(owner)
        self.attributes: dict[Any, Any] | None = _attributes(owner) if kind.named else None
        self.slots = [_in_slot(owner, slot) for slot in kind.slots]
        self.content: Any = None if kind.content is None else kind.content.note(owner)

    def within(self) -> Iterator[Any]:
        """What it held, but for its attributes."""
        yield from self.slots
        if self.kind.content is not None:
            yield from self.kind.content.within(self.content)
        if self.kind.within is not None:
            yield from self.kind.within(self.owner)

    def by_name(self, among: "Snapshot") -> Mapping[Any, Any]:
        """Its attributes."""
        named = None if self.attributes is None else among.noted(self.attributes)
        return named.noted if isinstance(named, _Attributes) else {}

    def beside(self) -> Any:
        """What it held that is no object, to be compared by value."""
        return None if self.kind.content is None else self.kind.content.beside(self.content)

    def holds(self) -> bool:
        """Whether it is as it was."""
        owner, content = self.owner, self.kind.content
        return (
            type(owner) is self.cls
            and _attributes(owner) is self.attributes
            and same_objects([_in_slot(owner, slot) for slot in self.kind.slots], self.slots)
            and (content is None or content.holds(owner, self.content))
        )

    def put_attributes(self) -> None:
        """Have it be of its class again, and hold its own attributes, which are put back apart."""
        if type(self.owner) is not self.cls:
            object.__setattr__(self.owner, "__class__", self.cls)
        if _attributes(self.owner) is not self.attributes:
            object.__setattr__(self.owner, "__dict__", self.attributes)
        for slot, value in zip(self.kind.slots, self.slots, strict=True):
            now = _in_slot(self.owner, slot)
            if value is _MISSING and now is not _MISSING:
                slot.__delete__(self.owner)
            elif now is not value:
                slot.__set__(self.owner, value)

    @property
    def by_hash(self) -> bool:
        """Whether it finds what it holds by hashes, which may be made of all the rest."""
        return self.kind.content is not None and self.kind.content.hashes

    @property
    def can(self) -> bool:
        """Whether it can still be put back."""
        return self.kind.content is None or self.kind.content.can(self.owner, self.content)

    @property
    def finds(self) -> bool:
        """Whether it finds what it holds, as far as it did."""
        return self.kind.content is None or self.kind.content.finds(self.owner, self.content)

    def find_again(self) -> None:
        """Have it find what it holds, as hashes may have changed with what they are made of."""
        content: Content | None = self.kind.content
        if content is not None and not self.finds:
            content.put(self.owner, self.content)

    def put_content(self) -> None:
        """Have it hold what it held beside its attributes."""
        content: Content | None = self.kind.content
        if content is not None and not content.holds(self.owner, self.content):
            content.put(self.owner, self.content)


class _Attributes:
    """Attributes by name; those `apart` are nobody's business here."""

    __slots__ = ("apart", "named", "noted")

    def __init__(self, named: dict[Any, Any], apart: frozenset[str] = frozenset()) -> None:
        self.named = named
        self.apart = apart
        self.noted = self._now()

    def _now(self) -> dict[Any, Any]:
        if not self.apart:
            return dict.copy(self.named)
        return {name: value for name, value in self.named.items() if name not in self.apart}

    def by_name(self, _: "Snapshot") -> Mapping[Any, Any]:
        return self.noted

    def beside(self) -> None:
        """Nothing."""

    def within(self) -> Iterable[Any]:
        return ()

    def holds(self) -> bool:
        now = self._now()
        return list(now) == list(self.noted) and same_objects([*now.values()], [*self.noted.values()])

    def put(self) -> None:
        if self.holds():
            return
        now = self._now()
        if list(now) != list(self.noted):
            for name in now:
                del self.named[name]
        dict.update(self.named, self.noted)


class Snapshot:
    """What an object held, and what that held in turn, at one moment."""

    def __init__(self, of: Any, apart: Iterable[str] = (), *, partly: bool = False) -> None:
        """Note all that it holds, but for the attributes `apart`; if `partly`, as much as can be noted.

        Raises:
            CanNotPutBack: it holds something that can't be put back.
            Exception: whatever an object raises that is looked at.
        """
        self.of = of
        self._why = ""
        self._lacking: dict[int, Any] = {}
        self._by_id: dict[int, _Noted | _Attributes] = {}
        self._noted: list[_Noted] = []
        self._attributes: list[_Attributes] = []
        apart = frozenset(apart)
        seen: dict[int, Any] = {}
        shared = everybodys()
        waiting = [of]
        while waiting:
            each = waiting.pop()
            kind = kind_of(type(each))
            if kind.stays or id(each) in seen or is_everybodys(each, shared):
                continue
            if kind.within is not None and not kind.changes:
                seen[id(each)] = each
                waiting.extend(_changing(kind.within(each)))
                continue
            try:
                noted = _Noted(each, kind)
            except CanNotPutBack as error:
                if not partly:
                    raise
                self._why, self._lacking[id(each)] = str(error), each
                continue
            seen[id(each)] = each
            if kind.content is not None or kind.slots or noted.attributes is not None:
                self._noted.append(noted)
                self._by_id[id(each)] = noted
            named = noted.attributes
            if named is not None and named is not each and id(named) not in seen:
                seen[id(named)] = named
                self._attributes.append(_Attributes(named, apart if each is of else frozenset()))
                self._by_id[id(named)] = self._attributes[-1]
                waiting.extend(_changing(self._attributes[-1].noted.values()))
            waiting.extend(_changing(noted.within()))
        self.made = passes()

    def put_back(self) -> bool:
        """Let the object hold that, and nothing else.

        Returns:
            False: all holds what it held, but a set had others in between, which its order, and what it pops
            next, still tell.

        Raises:
            CanNotPutBack: something does not hold what it held.
            Exception: whatever an object raises that is looked at.
        """
        collect_newest()
        if self._why:
            raise CanNotPutBack(self._why)
        for noted in self._noted:
            if not noted.can:  # before anything is written
                raise CanNotPutBack(f"a {noted.cls.__qualname__} can't be put back any more")
        for _ in range(2):  # some can only be right once others are
            self._put()
            collect(self.made)
            wrong = self._wrong()
            if not wrong:
                sets = (noted for noted in self._noted if issubclass(noted.cls, set))
                return all(is_untouched(noted.owner, noted.content) for noted in sets)
        raise CanNotPutBack(f"{wrong[0]} is not as it was")

    def put_back_what_can_be(self) -> None:
        """Let its parts hold that as far as they can, so that what is made anew then begins as it did."""
        self._put()
        self.end_what_was_left()

    def end_what_was_left(self) -> None:
        """Have what was made since, and is known to nobody, change what it changes when it ends."""
        collect(self.made)

    def noted(self, one: Any) -> "_Noted | _Attributes | None":
        """What was noted of an object, if anything was."""
        return self._by_id.get(id(one))

    def note(self, one: Any) -> "_Noted | _Attributes | None":
        """The same, or what it holds now, if nothing was: functions or weak references alone lead to it."""
        if id(one) not in self._by_id and not self.lacks(one):
            try:
                noted = self._by_id[id(one)] = _Noted(one, kind_of(type(one)))
            except CanNotPutBack:
                self._lacking[id(one)] = one
                return None
            if noted.attributes is not None:
                self._by_id.setdefault(id(noted.attributes), _Attributes(noted.attributes))
        return self.noted(one)

    def lacks(self, one: Any) -> bool:
        """Whether it could not be noted what an object holds."""
        return id(one) in self._lacking

    def _put(self) -> None:
        """Write what can be written; what came of it is looked at afterwards."""
        by_hash = [noted.put_content for noted in self._noted if noted.by_hash]
        others = [noted.put_content for noted in self._noted if not noted.by_hash]
        attributes = [each.put for each in self._attributes]
        for put in (*(noted.put_attributes for noted in self._noted), *attributes, *others, *by_hash):
            _try(put)
        for noted in self._noted:
            if noted.by_hash:
                _try(noted.find_again)

    def _wrong(self) -> list[str]:
        """The kinds of what does not hold what it held."""
        wrong = [
            f"a {noted.cls.__qualname__}" for noted in self._noted if not noted.holds() or not noted.finds
        ]
        wrong.extend("an attribute" for each in self._attributes if not each.holds())
        return wrong


def _try(put: Callable[[], None]) -> None:
    """Whatever an object raises, others are put back, too."""
    try:
        put()
    except BaseException as error:  # whatever people's code raises
        if not is_failure(error):
            raise


def _attributes(owner: Any) -> dict[Any, Any] | None:
    try:
        named = object.__getattribute__(owner, "__dict__")
    except AttributeError:
        return None
    return named if isinstance(named, dict) else None


def _in_slot(owner: Any, slot: Any) -> Any:
    try:
        return slot.__get__(owner)
    except AttributeError:
        return _MISSING


def _changing(some: Iterable[Any]) -> Sequence[Any]:
    """Those that are more than plain values."""
    found = list(some)
    return () if PLAIN.issuperset(map(type, found)) else found


def everybodys() -> frozenset[int]:
    """What is the interpreter's: an environment may know it, and does not own it."""
    drawn = getattr(sys.modules.get("numpy.random.mtrand"), "_rand", None)
    known = (os.environ, os.environb, sys.path, sys.modules, vars(builtins), _DRAWN, drawn)
    return frozenset(id(each) for each in known if each is not None)


def is_everybodys(one: Any, known: frozenset[int]) -> bool:
    """Whether it is one of those, or a module's."""
    if id(one) in known:
        return True
    name = dict.get(one, "__name__") if type(one) is dict else None
    if not isinstance(name, str):
        return False
    module = sys.modules.get(name)
    return module is not None and vars(module) is one
