"""The spellings of a text within JSON: any of its characters may be escaped there, in more than one way."""

import re

_WIDEST = 7
"""Bytes of an escaped character for each of its own in UTF-8: two backslashes, `u` and four digits."""

OPENING_WIDTH = 20
"""Bytes of a spelling that are enough to tell its opening: three marks of four bytes and an escape."""

_BACKSLASH = rb"\\"
_MARKS = "\"'/"
"""What is also escaped by a backslash alone."""

_ESCAPES = re.compile(rb"(?:\\{1,2}u[0-9A-Fa-f]{4})+")
_MARKED = re.compile(rb"\\{1,3}([\"'/])")
_CUT = re.compile(rb"\\{1,3}(?:u[0-9A-Fa-f]{0,3})?\Z")


def any_spelling(text: bytes) -> bytes:
    """A regular expression, in Latin-1, for each way to write the text in JSON, or in JSON within JSON."""
    # The end of a piece may have cut a character: what is left of it is in no spelling.
    return b"".join(_character(each) for each in text.decode("utf-8", "ignore"))


def any_opening(text: bytes) -> bytes:
    """The same for the beginning of a spelling: up to its first escape, or the whole text.

    What spells some of the text and does not match is shorter than `OPENING_WIDTH`.
    """
    *before, last = list(text.decode("utf-8", "ignore"))
    opening = _character(last)
    for character in reversed(before):
        opening = b"(?:" + _escaped(character) + b"|" + _unescaped(character) + opening + b")"
    return opening


def unescaped(data: bytes) -> bytes:
    """What the data spells, without an escape that its end cuts."""
    return _MARKED.sub(rb"\1", _ESCAPES.sub(_plain, _CUT.sub(b"", data)))


def widest(text: bytes) -> int:
    """The most bytes that a spelling of the text takes."""
    return len(text) * _WIDEST


def _character(character: str) -> bytes:
    return b"(?:" + _escaped(character) + b"|" + _unescaped(character) + b")"


def _escaped(character: str) -> bytes:
    units = character.encode("utf-16-be").hex()
    return b"".join(_unit(units[start : start + 4]) for start in range(0, len(units), 4))


def _unescaped(character: str) -> bytes:
    if character == "\\":
        # By itself in a text of which nothing is escaped; each level of JSON doubles it.
        return _BACKSLASH + b"{1,4}"
    plain = b"".join(b"\\x%02x" % byte for byte in character.encode())
    return _BACKSLASH + b"{0,3}" + plain if character in _MARKS else plain


def _plain(escapes: re.Match[bytes]) -> bytes:
    units = bytes.fromhex(re.sub(rb"\\+u", b"", escapes[0]).decode())
    return units.decode("utf-16-be", "surrogatepass").encode("utf-8", "surrogatepass")


def _unit(digits: str) -> bytes:
    either = "".join(digit if digit.isdigit() else f"[{digit}{digit.upper()}]" for digit in digits)
    return _BACKSLASH + b"{1,2}u" + either.encode()
