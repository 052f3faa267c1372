"""Finding many expressions at once, in linear time, in data that arrives in pieces.

The engine is RE2: no input makes it backtrack. Python's own `re` tries the alternatives one by one.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import re2

_MEMORY = 64 << 20
"""Bytes that one compiled expression and its automaton may take."""

_LARGEST = 512 << 10
"""Bytes of expressions that are compiled into one; RE2 refuses what would take more than its memory."""

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


def compile_any(patterns: Sequence[bytes]) -> tuple["re2._Regexp", ...]:
    """Expressions that together match what any of these does, as few as memory allows."""
    groups: list[list[bytes]] = [[]]
    size = 0
    for pattern in patterns:
        size += len(pattern)
        if size > _LARGEST and groups[-1]:
            groups.append([])
            size = len(pattern)
        groups[-1].append(pattern)
    return tuple(compile_bytes(any_of(group)) for group in groups)


class Hits:
    """The hits in some data, from first to last; looks at each byte once, however many there are."""

    def __init__(self, expressions: Sequence["re2._Regexp"], meaning: Meaning, data: bytes) -> None:
        self._expressions = expressions
        self._meaning = meaning
        self._data = data
        self._next: list[re2._Match | None] = []

    def after(self, position: int) -> Hit | None:
        """The first hit from this position on, never an earlier one than last; what stands before counts."""
        data = self._data
        if not self._next:
            self._next = [one.search(data, position) for one in self._expressions]
        for number, found in enumerate(self._next):
            if found is not None and found.start() < position:
                self._next[number] = self._expressions[number].search(data, position)
        # Of two that begin at one place the first is the longer: so the expressions are ordered.
        first = min((one for one in self._next if one is not None), key=_start, default=None)
        return None if first is None else self._meaning(first.group(), first.start())


def _start(found: "re2._Match") -> int:
    return int(found.start())


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
        self._find = compile_any(patterns)
        self._open = compile_any(begun)
        self._width = width
        self._opening_width = opening_width
        self._meaning = meaning

    def find(self, data: bytes, position: int = 0) -> Hit | None:
        """The first hit from this position on; what stands before it counts as its neighbour."""
        return self.hits(data).after(position)

    def hits(self, data: bytes) -> Hits:
        """All of them, one after the other."""
        return Hits(self._find, self._meaning, data)

    def decided(self, data: bytes, position: int) -> int:
        """Up to where it is certain, whatever follows the data, which hits begin there."""
        floor = max(position, len(data) - self._width)
        untold = max(floor, len(data) - self._opening_width)
        begun = (one.search(data, floor) for one in self._open)
        return min([untold, *(int(found.start()) for found in begun if found is not None)])


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
        hits = self._scanner.hits(data)
        while position < until:
            hit = hits.after(position)
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
