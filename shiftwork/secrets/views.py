"""Data as it reads without what some programs put into it, and where each byte of that stood."""

import re
from bisect import bisect_right
from collections.abc import Callable

from shiftwork.secrets.spelling import unescaped

_LINE_END = re.compile(rb"\\[rn]|[\r\n]")
_LINE_ENDS = (b"\n", b"\r", b"\\n", b"\\r")
_SPELT = re.compile(
    rb"\\{1,2}u[dD][89abAB][0-9A-Fa-f]{2}\\{1,2}u[dD][c-fC-F][0-9A-Fa-f]{2}|\\{1,2}u[0-9A-Fa-f]{4}"
    rb"|\\+(?P<mark>[\"'/])|(?P<slash>\\)(?:\\*(?=\\\\u[0-9A-Fa-f]{4})|\\+)"
)
"""A character that JSON escapes, in JSON too: by its number, by a backslash, or as backslashes."""


class View:
    """Data in which each match is replaced.

    Attributes:
        data: what is left.
    """

    def __init__(
        self, data: bytes, pattern: re.Pattern[bytes], replace: Callable[[re.Match[bytes]], bytes]
    ) -> None:
        self._matches: list[tuple[int, int]] = []
        self._begins: list[int] = []
        self._ends: list[int] = []
        out: list[bytes] = []
        position = length = 0
        for found in pattern.finditer(data):
            plain = replace(found)
            out += (data[position : found.start()], plain)
            length += found.start() - position
            self._begins.append(length)
            length += len(plain)
            self._ends.append(length)
            position = found.end()
            self._matches.append(found.span())
        self.data = b"".join((*out, data[position:])) if out else data

    def __bool__(self) -> bool:
        """Whether anything was replaced."""
        return bool(self._matches)

    def begin(self, place: int) -> int:
        """Where this byte began in the data."""
        return self._span(place)[0]

    def end(self, place: int) -> int:
        """Where what ends here ended in the data."""
        return self._span(place - 1)[1]

    def _span(self, place: int) -> tuple[int, int]:
        number = bisect_right(self._begins, place) - 1
        if number < 0:
            return place, place + 1
        if place < self._ends[number]:
            return self._matches[number]
        before = self._matches[number][1] + place - self._ends[number]
        return before, before + 1


def has_line_ends(data: bytes) -> bool:
    """Whether the data has any; in a fraction of the time that a view takes to make."""
    return any(end in data for end in _LINE_ENDS)


def without_line_ends(data: bytes) -> View:
    """The data as one line: without line ends, as they are and as JSON writes them."""
    return View(data, _LINE_END, lambda _: b"")


def without_escapes(data: bytes) -> View:
    """The data as it reads if whatever may be escaped in JSON is."""
    return View(data, _SPELT, _plain)


def _plain(found: re.Match[bytes]) -> bytes:
    return found["mark"] or found["slash"] or unescaped(found[0])
