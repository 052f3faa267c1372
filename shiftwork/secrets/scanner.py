"""Finding many expressions at once, in linear time, in data that arrives in pieces.

The engine is RE2: no input makes it backtrack. Python's own `re` tries the alternatives one by one.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import re2

_MEMORY = 64 << 20
"""Bytes that one compiled expression and its automaton may take."""

NEVER = b"[^\\x00-\\xff]"
"""An expression that matches nothing."""


class Hit(NamedTuple):
    """A secret in data.

    Attributes:
        begin: where the expression begins to match: the secret, or what tells it.
        start: where the secret begins.
        end: where it ends, without what the tail takes.
        label: what is shown instead of it.
        tail: what goes on through all that matches this; None if nothing does.
    """

    begin: int
    start: int
    end: int
    label: bytes
    tail: re.Pattern[bytes] | None = None


Meaning = Callable[[bytes, int], Hit]
"""What a match means: from the matched bytes, and where they begin."""


def compile_bytes(pattern: bytes) -> "re2._Regexp":
    """An expression on bytes."""
    return re2.compile(pattern, _options())


def whole_set(patterns: Sequence[bytes]) -> "re2.Set":
    """Tells which of these match the whole of some bytes: `Match` gives their numbers."""
    made = re2.Set.FullMatchSet(_options())
    for pattern in patterns:
        made.Add(pattern)
    made.Compile()
    return made


def _options() -> "re2.Options":
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = _MEMORY
    options.log_errors = False
    return options


def any_of(patterns: Sequence[bytes]) -> bytes:
    """An expression for all of these; of those that begin at one place, the first wins."""
    return b"|".join(b"(?:%s)" % pattern for pattern in patterns) or NEVER


class Scanner:
    """Finds a set of expressions, none of which matches more than `width` bytes, the neighbours included.

    Args:
        patterns: the expressions.
        begun: for each, one for what it may have begun with at the end of data, at least `opening_width`
            bytes of it: a stream waits for more only where one matches.
        width: see above.
        opening_width: bytes at the end that are never enough to tell.
        meaning: see `Meaning`.
    """

    def __init__(
        self,
        patterns: Sequence[bytes],
        begun: Sequence[bytes],
        *,
        width: int,
        opening_width: int,
        meaning: Meaning,
    ) -> None:
        self._find = compile_bytes(any_of(patterns))
        self._open = compile_bytes(any_of(begun))
        self._width = width
        self._opening_width = opening_width
        self._meaning = meaning

    def find(self, data: bytes, position: int = 0) -> Hit | None:
        """The first hit from this position on; what stands before it counts as its neighbour."""
        found = self._find.search(data, position)
        return None if found is None else self._meaning(found.group(), found.start())

    def decided(self, data: bytes, position: int) -> int:
        """Up to where it is certain, whatever follows the data, which hits begin there."""
        floor = max(position, len(data) - self._width)
        begun = self._open.search(data, floor)
        untold = max(floor, len(data) - self._opening_width)
        return untold if begun is None else min(untold, begun.start())


class Pass:
    """One way of data through a scanner: replaces each hit; remembers what a later piece may complete."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._held = b""
        self._told = 0  # bytes of what is held that were put out already, and are neighbours only
        self._tail: re.Pattern[bytes] | None = None

    def feed(self, piece: bytes, *, last: bool = False) -> bytes:
        """Take a piece; returns what is certain by now, and everything if it is the last one."""
        data = self._held + piece
        out: list[bytes] = []
        position = self._follow(data, self._told)
        until = len(data) if last else self._scanner.decided(data, position)
        while position < until:
            hit = self._scanner.find(data, position)
            if hit is None or hit.begin >= until:
                out.append(data[position:until])
                position = until
                break
            out += (data[position : hit.start], hit.label)
            self._tail = hit.tail
            position = self._follow(data, hit.end)
        self._told = min(position, 1)
        self._held = data[position - self._told :]
        return b"".join(out)

    def _follow(self, data: bytes, position: int) -> int:
        """Where the tail that goes on ends."""
        if self._tail is None:
            return position
        found = self._tail.match(data, position)
        end = position if found is None else found.end()
        if end < len(data):
            self._tail = None
        return end
