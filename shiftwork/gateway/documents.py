"""Cutting an answer into the documents that it is made of, while it comes; each of them is bounded."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

SLICE = 4 * 1024
"""Bytes that are cut, or inflated, without a pause."""

_HEAD = 64 * 1024
_TAIL = 256 * 1024
_GZIP = 0x1F
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MEMBERS = 1000
"""Compressed parts that an answer may have, one behind the other."""
_INFLATED = 64 * 1024 * 1024
"""Bytes that a compressed answer may become; it was asked for without compression."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document; of one that is too large to be read as a whole its beginning and its end.

    Attributes:
        size: bytes of the whole.
    """

    data: bytes
    size: int

    @property
    def cut(self) -> bool:
        """Whether its middle is missing."""
        return self.size > len(self.data)


class Excerpt:
    """Collects a document. At most 576 KiB of it are held."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._size = 0

    def __bool__(self) -> bool:
        return self._size > 0

    @property
    def held(self) -> int:
        """Bytes that are in memory."""
        return len(self._data)

    def add(self, data: bytes, size: int) -> None:
        """Add a piece, and of how many bytes it is an excerpt."""
        self._data += data
        self._size += size
        if len(self._data) > _HEAD + 2 * _TAIL:
            del self._data[_HEAD:-_TAIL]

    def take(self) -> Document:
        """What was collected; begins anew."""
        taken = Document(bytes(self._data), self._size)
        self._data.clear()
        self._size = 0
        return taken


class Splitter(Protocol):
    """Cuts an answer into documents."""

    def feed(self, data: bytes) -> Iterator[Document]:
        """The documents that end in this piece."""

    def finish(self) -> Iterator[Document]:
        """What is left at the end, or where the answer was cut off."""


class Whole:
    """An answer that is one document."""

    def __init__(self) -> None:
        self._body = Excerpt()

    def feed(self, data: bytes) -> Iterator[Document]:
        """None: it ends with the answer."""
        self._body.add(data, len(data))
        yield from ()

    def finish(self) -> Iterator[Document]:
        """It."""
        if self._body:
            yield self._body.take()


class Lines:
    """Newline-delimited JSON: each line is a document. Lines end as those of server-sent events do."""

    def __init__(self) -> None:
        self._line = Excerpt()
        self._after_return = False

    def feed(self, data: bytes) -> Iterator[Document]:
        """The lines that end in this piece and are not empty."""
        yield from filter(_size, self._lines(data))

    def finish(self) -> Iterator[Document]:
        """A last line without an end."""
        if self._line:
            yield self._line.take()

    def _lines(self, data: bytes) -> Iterator[Document]:
        if self._after_return and data.startswith(b"\n"):  # The other half of a line's end.
            data = data[1:]
        if not data:
            return
        self._after_return = data.endswith(b"\r")
        if len(data) > 4 and not data.strip(b"\r\n"):  # No program is to count a million empty lines.
            data = b"\n\n"
        lines = data.splitlines()
        rest = b"" if data.endswith((b"\n", b"\r")) else lines.pop()
        for line in lines:
            self._line.add(line, len(line))
            yield self._line.take()
        self._line.add(rest, len(rest))


class Events(Lines):
    """Server-sent events: the data of each is a document."""

    def __init__(self) -> None:
        super().__init__()
        self._event = Excerpt()
        self._begun = False

    def feed(self, data: bytes) -> Iterator[Document]:
        """The events that end in this piece and have data."""
        for line in self._lines(data):
            data = line.data if self._begun else line.data.removeprefix(_BYTE_ORDER_MARK)
            self._begun = True
            if data.startswith(b"data:"):
                self._event.add(data[5:], line.size - 5)
            elif not line.size and self._event:
                yield self._event.take()

    def finish(self) -> Iterator[Document]:
        """A last event without an end."""
        yield from self.feed(b"\n\n")


class Inflation:
    """Undoes a compression, within bounds."""

    def __init__(self) -> None:
        self._inflate: _Inflates | None = None
        self._made = self._members = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What this piece becomes, in slices.

        Raises:
            zlib.error: it is not compressed so, or becomes too much.
        """
        for at in range(0, len(data), SLICE):
            rest, goes_on = data[at : at + SLICE], True
            while goes_on:
                if self._inflate is None or self._inflate.eof:
                    self._inflate = self._begun(rest)
                inflated = self._inflate.decompress(rest, SLICE)
                self._made += len(inflated)
                yield inflated
                if self._made > _INFLATED:
                    raise zlib.error("too much")
                ended = self._inflate.eof
                rest = self._inflate.unused_data if ended else self._inflate.unconsumed_tail
                goes_on = bool(rest) if ended else len(inflated) == SLICE

    def _begun(self, data: bytes) -> "_Inflates":
        """What undoes the part that begins so: gzip, zlib's own format, or what has no head at all."""
        self._members += 1
        if self._members > _MEMBERS:
            raise zlib.error("too many parts")
        has_head = data[0] == _GZIP or data[0] & 0x0F == zlib.DEFLATED
        return zlib.decompressobj(47 if has_head else -zlib.MAX_WBITS)


class _Inflates(Protocol):
    """What `zlib.decompressobj` makes."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    @property
    def unconsumed_tail(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes: ...


def splitter(content_type: str) -> Splitter:
    """What cuts an answer of this type."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "text/event-stream":
        return Events()
    return Lines() if kind in {"application/x-ndjson", "application/ndjson", "application/jsonl"} else Whole()


def _size(document: Document) -> int:
    return document.size
