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
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from shiftwork.environments.failures import is_failure
from shiftwork.environments.garbage import collect, collect_newest, passes
from shiftwork.environments.restoring_contents import PLAIN, CanNotPutBack
from shiftwork.environments.restoring_kinds import kind_of
from shiftwork.environments.restoring_parts import Attributes, Noted
from shiftwork.environments.restoring_sets import is_untouched

_DRAWN: Final = getattr(random.random, "__self__", None)
"""What `random.random` and its like draw from."""


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
        self._by_id: dict[int, Noted | Attributes] = {}
        self._noted: list[Noted] = []
        self._attributes: list[Attributes] = []
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
                noted = Noted(each, kind)
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
                self._attributes.append(Attributes(named, apart if each is of else frozenset()))
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

    def noted(self, one: Any) -> "Noted | Attributes | None":
        """What was noted of an object, if anything was."""
        return self._by_id.get(id(one))

    def note(self, one: Any) -> "Noted | Attributes | None":
        """The same, or what it holds now, if nothing was: functions or weak references alone lead to it."""
        if id(one) not in self._by_id and not self.lacks(one):
            try:
                noted = self._by_id[id(one)] = Noted(one, kind_of(type(one)))
            except CanNotPutBack:
                self._lacking[id(one)] = one
                return None
            if noted.attributes is not None:
                self._by_id.setdefault(id(noted.attributes), Attributes(noted.attributes))
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
