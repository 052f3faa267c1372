"""One object, and what it held: noted, compared and written into it again."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from shiftwork.environments.restoring_contents import CanNotPutBack, Content, same_objects
from shiftwork.environments.restoring_kinds import Kind

if TYPE_CHECKING:
    from shiftwork.environments.restoring import Snapshot

_MISSING: Final = object()
"""In a slot: nothing."""


class Noted:
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
        return named.noted if isinstance(named, Attributes) else {}

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


class Attributes:
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
