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
        return min(untold, self.begun(data, floor))

    def begun(self, data: bytes, position: int = 0) -> int:
        """Where, from this position on, a hit may have begun of which the opening is there already."""
        found = (one.search(data, position) for one in self._open)
        return min([len(data), *(int(one.start()) for one in found if one is not None)])


class Span(NamedTuple):
    """A secret's place; `label` is empty where it only goes on."""

    start: int
    end: int
    label: bytes


class Found(NamedTuple):
    """What became certain with a piece: `spans` in `data` from `begin` to `end`, in their order."""

    data: bytes
    begin: int
    end: int
    spans: list[Span]


class Finder:
    """Finds hits in data that arrives in pieces; remembers what a later piece may complete.

    Attributes:
        held: what is not certain yet, after what is kept as its neighbour.
        told: bytes of `held` that are certain already, and are neighbours only.
        certain: up to where it is known what is secret, from the first byte of all on.
    """

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._tail: re.Pattern[bytes] | None = None
        self.held = b""
        self.told = 0
        self.certain = 0

    def feed(self, piece: bytes, *, last: bool = False) -> Found:
        """Take a piece; with the last one everything is certain."""
        data, begin = self.held + piece, self.told
        spans: list[Span] = []
        position = self._follow(data, begin)
        if position > begin:
            spans.append(Span(begin, position, b""))
        until = len(data) if last else self._scanner.decided(data, position)
        hits = self._scanner.hits(data)
        while position < until:
            hit = hits.after(position)
            if hit is None or hit.begin >= until:
                position = until
                break
            self._tail = hit.tail
            position = self._follow(data, hit.end)
            spans.append(Span(hit.start, position, hit.label))
        self.certain += position - begin
        self.told = min(position, 1)
        self.held = data[position - self.told :]
        return Found(data, begin, position, spans)

    def peek(self) -> list[Span]:
        """The hits in what is not certain yet, as if nothing followed; counted from `certain` on."""
        spans: list[Span] = []
        position = self.told
        hits = self._scanner.hits(self.held)
        while hit := hits.after(position):
            tail = hit.tail.match(self.held, hit.end) if hit.tail else None
            position = tail.end() if tail else hit.end
            spans.append(Span(hit.start - self.told, position - self.told, hit.label))
        return spans

    def _follow(self, data: bytes, position: int) -> int:
        """Where the tail that goes on ends."""
        if self._tail is None:
            return position
        found = self._tail.match(data, position)
        end = position if found is None else found.end()
        if end < len(data):
            self._tail = None
        return end


class Pass:
    """One way of data through a scanner: replaces each hit."""

    def __init__(self, scanner: Scanner) -> None:
        self._finder = Finder(scanner)

    def feed(self, piece: bytes, *, last: bool = False) -> bytes:
        """Take a piece; returns what is certain by now, and everything if it is the last one."""
        found = self._finder.feed(piece, last=last)
        out: list[bytes] = []
        position = found.begin
        for span in found.spans:
            out += (found.data[position : span.start], span.label)
            position = span.end
        out.append(found.data[position : found.end])
        return b"".join(out)
