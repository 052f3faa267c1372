"""Where requests begin and end on a connection, refusing what two readers of HTTP may read differently.

The server's own parser is lenient: it takes a length beside a coding, lines without a carriage return, folded
fields, equal lengths twice, and throws trailers away. A proxy before it may see other requests in the same
bytes.
"""

import re
from collections.abc import Callable, Iterator

_LARGEST_HEAD = 64 * 1024
_LONGEST_SIZE_LINE = 18
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")
_NAME = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):")
_FIRST = re.compile(rb"[!-~]+ [!-~\x80-\xff]+ HTTP/1\.([01])")
_LENGTH = re.compile(rb"[0-9]{1,15}")
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")


class AmbiguousError(ValueError):
    """The bytes are no request that everybody reads alike; the text says why."""


class Framing:
    """Follows the requests of one connection, and hands on their bytes."""

    def __init__(self) -> None:
        self._held = b""
        self._left = 0
        self._next: Callable[[], bytes | None] = self._head

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bytes that are as they should be by now: whole heads, whole lines of sizes, and bodies.

        Raises:
            AmbiguousError: what follows is not; nothing may be fed after that.
        """
        self._held += data
        while self._held and (piece := self._next()):
            yield piece

    def _head(self) -> bytes | None:
        end = self._held.find(b"\r\n\r\n", 0, _LARGEST_HEAD)
        if end < 0:
            if len(self._held) >= _LARGEST_HEAD:
                raise AmbiguousError(f"The head is larger than {_LARGEST_HEAD:,} bytes.")
            _check_lines(self._held.removesuffix(b"\r"))  # A wrong line is not waited for.
            return None
        first, *fields = _check_lines(self._held[:end])
        line = _FIRST.fullmatch(first)
        if line is None:
            raise AmbiguousError("The first line is none of HTTP/1.0 or 1.1.")
        self._begin_body(fields, is_old=line[1] == b"0")
        return self._take(end + 4)

    def _begin_body(self, fields: list[bytes], *, is_old: bool) -> None:
        lengths, codings = [], []
        for field in fields:
            if not _FIELD.fullmatch(field):
                raise AmbiguousError(_fault(field))
            name, _, value = field.partition(b":")
            if name.lower() == b"content-length":
                lengths.append(value.strip(b" \t"))
            elif name.lower() == b"transfer-encoding":
                codings.append(value.strip(b" \t").lower())
        if len(lengths) + len(codings) > 1:
            raise AmbiguousError("The body's length is said more than once.")
        if codings and (is_old or codings != [b"chunked"]):
            raise AmbiguousError("Of codings only 'chunked' is understood, in HTTP/1.1.")
        if lengths and not _LENGTH.fullmatch(lengths[0]):
            raise AmbiguousError("The body's length is no plain number.")
        self._left = int(lengths[0]) if lengths else 0
        if codings:
            self._next = self._size
        elif self._left:
            self._next = self._body

    def _body(self) -> bytes:
        piece = self._take(min(self._left, len(self._held)))
        self._left -= len(piece)
        if not self._left:
            self._next = self._head
        return piece

    def _size(self) -> bytes | None:
        line = self._line()
        if line is None:
            return None
        if not _SIZE.fullmatch(line):
            raise AmbiguousError("A chunk begins with more than its size, or without one.")
        self._left = int(line, 16)
        self._next = self._chunk if self._left else self._last
        return line + b"\r\n"

    def _chunk(self) -> bytes:
        piece = self._take(min(self._left, len(self._held)))
        self._left -= len(piece)
        if not self._left:
            self._next = self._after
        return piece

    def _after(self) -> bytes | None:
        return self._empty(self._size, "A chunk is longer than its size.")

    def _last(self) -> bytes | None:
        return self._empty(self._head, "Fields behind the body are not taken.")

    def _empty(self, then: Callable[[], bytes | None], why: str) -> bytes | None:
        if not b"\r\n".startswith(self._held[:2]):
            raise AmbiguousError(why)
        if len(self._held) < 2:
            return None
        self._next = then
        return self._take(2)

    def _line(self) -> bytes | None:
        end = self._held.find(b"\r\n", 0, _LONGEST_SIZE_LINE)
        if end >= 0:
            return self._take(end + 2)[:-2]
        if len(self._held) >= _LONGEST_SIZE_LINE or b"\n" in self._held:
            raise AmbiguousError("A chunk begins with more than its size, or without one.")
        return None

    def _take(self, size: int) -> bytes:
        taken, self._held = self._held[:size], self._held[size:]
        return taken


def _fault(field: bytes) -> str:
    if field.startswith((b" ", b"\t")):
        return "A field of the head is folded over two lines; write it on one."
    name = _NAME.match(field)
    if name is None:
        return "A field of the head has no name that is one, followed by a colon."
    return f"The field {name[1].decode()[:100]} of the head holds a control character; leave it out."


def _check_lines(head: bytes) -> list[bytes]:
    """The lines, each of which ends as it should; also of a head that is not whole yet."""
    lines = head.split(b"\r\n")
    if any(b"\n" in line or b"\r" in line or b"\0" in line for line in lines):
        raise AmbiguousError("A line of the head does not end as HTTP's lines do.")
    return lines
