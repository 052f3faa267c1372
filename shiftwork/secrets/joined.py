"""Redaction of texts that come one after the other, each to be kept by itself, as if they were one.

A key that a program says letter by letter, or in two halves, is found in what its texts are together. Each
text is also redacted by itself, as its first word may be a token.
"""

from bisect import insort
from collections import deque
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

from shiftwork.secrets.excerpt import cut_at
from shiftwork.secrets.redactor import Redactor, decode
from shiftwork.secrets.scanner import Finder, Span
from shiftwork.secrets.shown import as_shown

SECONDS = 0.5
"""How long a text waits for the next one of its stream."""

LARGEST = 1_000_000
"""Bytes of texts that wait at most."""

MOST = 1_000
"""Texts that wait at most."""

Item = TypeVar("Item")


class _Waiting(NamedTuple, Generic[Item]):
    item: Item
    stream: "_Stream"
    end: int
    size: int
    since: float


class JoinedTexts(Generic[Item]):
    """Gives texts out redacted, in the order in which they came, once it is certain what of them is secret.

    A text waits for the next one of its stream no longer than `SECONDS`. If it ends then in the beginning of
    a known value, or of a token beyond doubt, that is given out with the stream's next text, or at the end.

    Args:
        redactor: knows the secrets.
        seconds: see `SECONDS`.
    """

    def __init__(self, redactor: Redactor, seconds: float = SECONDS) -> None:
        self._redactor = redactor
        self._seconds = seconds
        self._streams: dict[str, _Stream] = {}
        self._waiting: deque[_Waiting[Item]] = deque()
        self._size = 0

    def take(self, item: Item, stream: str, text: str, now: float) -> None:
        """One text; `item` is what it is given out with, `now` a time in seconds that never goes back.

        It is given out as it is shown: letters of a secret could be joined by what is hidden between them.
        """
        joined = self._streams.get(stream)
        if joined is None:
            joined = self._streams[stream] = _Stream(self._redactor)
        size = joined.add(as_shown(text))
        self._size += size
        self._waiting.append(_Waiting(item, joined, joined.end, size, now))

    def ready(self, now: float) -> Iterator[tuple[Item, str]]:
        """What need not wait any more."""
        while self._waiting:
            first = self._waiting[0]
            end = first.end
            if end > first.stream.certain:
                full = self._size > LARGEST or len(self._waiting) > MOST
                if not full and now - first.since < self._seconds:
                    return
                end = min(end, first.stream.begun())
            self._waiting.popleft()
            self._size -= first.size
            yield first.item, first.stream.give(end)

    def close(self) -> Iterator[tuple[Item, str]]:
        """Everything that waits."""
        for stream in self._streams.values():
            stream.close()
        yield from self.ready(0.0)

    def rest(self) -> Iterator[tuple[str, str]]:
        """After `close`: each stream's end that no later text came to be given out with."""
        for name, stream in self._streams.items():
            if text := stream.give(stream.end):
                yield name, text


class _Stream:
    """Texts that are read as one; places are counted from the first byte of all."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._known, self._shapes = Finder(redactor.known), Finder(redactor.shapes)
        self._data = bytearray()
        self._out = 0
        self._covered = 0
        self._spans: list[Span] = []
        self.end = 0

    @property
    def certain(self) -> int:
        """Up to where it is certain what is secret."""
        return min(self._known.certain, self._shapes.certain)

    def add(self, text: str) -> int:
        """The next text; its size."""
        data = text.encode("utf-8", "surrogatepass")
        cut = cut_at(text)
        whole = len(data) if cut is None else len(text[:cut].encode("utf-8", "surrogatepass"))
        self._find_within(data[:whole], is_cut=cut is not None)
        self._find_across(data)
        self._data += data
        self.end += len(data)
        return len(data)

    def close(self) -> None:
        """No more texts come."""
        self._find_across(b"", last=True)

    def begun(self) -> int:
        """Where something may have begun that is a secret beyond doubt if it goes on."""
        place = self.end
        for finder, begun in (
            (self._known, self._redactor.beginnings.begun),
            (self._shapes, self._redactor.unmistakable.begun),
        ):
            spans = [
                Span(finder.certain + start, finder.certain + end, label)
                for start, end, label in finder.peek()
            ]
            for span in spans:
                self._keep(span)
            after = spans[-1].end if spans else finder.certain
            place = min(place, after + begun(finder.held[finder.told + after - finder.certain :]))
        while self._out < place < self.end and self._data[place - self._out] & 0xC0 == 0x80:
            place -= 1  # between two characters
        return max(place, self._out)

    def give(self, end: int) -> str:
        """The text up to this place, from where the last one ended."""
        out: list[bytes] = []
        position, later = self._out, []
        for span in self._spans:
            if span.start >= end:
                later.append(span)
                continue
            if span.end > position:
                out.append(self._from(position, max(span.start, position)))
                out.append(span.label if span.start >= self._covered else b"")
                position = min(span.end, end)
            if span.end > end:
                later.append(Span(end, span.end, b""))
            self._covered = max(self._covered, span.end)
        out.append(self._from(position, end))
        del self._data[: end - self._out]
        self._out, self._spans = end, sorted(later)
        return decode(b"".join(out))

    def _from(self, start: int, end: int) -> bytes:
        return bytes(self._data[start - self._out : max(start, end) - self._out])

    def _find_within(self, data: bytes, *, is_cut: bool) -> None:
        """The secrets of one text; of one that is cut, also what may begin one at its end."""
        if not is_cut and not self._redactor.may_hold(data):
            return
        for scanner in (self._redactor.known, self._redactor.shapes):
            finder = Finder(scanner)
            for start, end, label in finder.feed(data, last=not is_cut).spans:
                self._keep(Span(self.end + start, self.end + end, label))
            if finder.certain < len(data):
                self._keep(Span(self.end + finder.certain, self.end + len(data), b""))

    def _find_across(self, data: bytes, *, last: bool = False) -> None:
        for finder in (self._known, self._shapes):
            before = finder.certain
            found = finder.feed(data, last=last)
            for start, end, label in found.spans:
                self._keep(Span(before - found.begin + start, before - found.begin + end, label))

    def _keep(self, span: Span) -> None:
        if span not in self._spans:
            insort(self._spans, span)
