"""The spellings of a text in which any of its characters may be escaped: in JSON, URLs, HTML, Python."""

import re
import sys

_WIDEST = 7
"""Bytes of an escaped character for each of its own in UTF-8, at most: two backslashes, `u`, four digits."""

OPENING_WIDTH = 20
"""Bytes of a spelling that are enough to tell its opening: three marks of four bytes and an escape."""

_LATIN1 = 0xFF
_BACKSLASH = rb"\\"
_MARKS = "\"'/"
"""What is also escaped by a backslash alone."""

_NAMED = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}
"""Characters that HTML has names for."""

_CHARACTERS = {name: character for character, name in _NAMED.items()}
_QUOTED = re.compile(
    rb"%(?:25)?(?P<byte>[0-9A-Fa-f]{2})|&(?:#(?:[xX](?P<hex>[0-9A-Fa-f]{1,6})|(?P<code>[0-9]{1,7}))"
    rb"|(?P<name>amp|lt|gt|quot|apos));"
)
_CUT_QUOTED = re.compile(rb"(?:%(?:25?)?[0-9A-Fa-f]?|&#?[0-9A-Za-z]{0,7})\Z")
_ESCAPES = re.compile(rb"(?:\\{1,2}u[0-9A-Fa-f]{4})+")
_MARKED = re.compile(rb"\\{1,3}([\"'/])")
_CUT = re.compile(rb"\\{1,3}(?:u[0-9A-Fa-f]{0,3})?\Z")


def any_spelling(text: bytes) -> bytes:
    """A regular expression, in Latin-1, for each way to write the text.

    Each character may be written as in JSON, or JSON within JSON; as in a URL, once or twice; as an entity of
    HTML; as Python's `ascii` does.
    """
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


def unquoted(data: bytes) -> bytes:
    """What the data says if its bytes are escaped as in a URL, or its characters as in HTML."""
    return _QUOTED.sub(_unquoted, _CUT_QUOTED.sub(b"", data))


def widest(text: bytes) -> int:
    """The most bytes that a spelling of the text takes."""
    return len(text) * _WIDEST


def _character(character: str) -> bytes:
    return b"(?:" + _escaped(character) + b"|" + _unescaped(character) + b")"


def _escaped(character: str) -> bytes:
    units = character.encode("utf-16-be").hex()
    in_json = b"".join(_unit(units[start : start + 4]) for start in range(0, len(units), 4))
    in_url = b"".join(b"%(?:25)?" + _digits(f"{byte:02x}") for byte in character.encode())
    code = ord(character)
    in_html = b"&#(?:%d|[xX]%b);" % (code, _digits(f"{code:x}"))
    ways = [in_json, in_url, in_html]
    if character == " ":
        ways.append(b"\\+")  # in forms and queries
    if character in _NAMED:
        ways.append(b"&%b;" % _NAMED[character].encode())
    if not character.isascii():
        in_python = f"x{code:02x}" if code <= _LATIN1 else f"U{code:08x}"
        ways.append(_BACKSLASH + b"{1,2}" + _digits(in_python))
    return b"(?:" + b"|".join(ways) + b")"


def _unescaped(character: str) -> bytes:
    if character == "\\":
        # By itself in a text of which nothing is escaped; each level of JSON doubles it.
        return _BACKSLASH + b"{1,4}"
    plain = b"".join(b"\\x%02x" % byte for byte in character.encode())
    return _BACKSLASH + b"{0,3}" + plain if character in _MARKS else plain


def _plain(escapes: re.Match[bytes]) -> bytes:
    units = bytes.fromhex(re.sub(rb"\\+u", b"", escapes[0]).decode())
    return units.decode("utf-16-be", "surrogatepass").encode("utf-8", "surrogatepass")


def _unquoted(quoted: re.Match[bytes]) -> bytes:
    if byte := quoted["byte"]:
        return bytes.fromhex(byte.decode())
    if name := quoted["name"]:
        return _CHARACTERS[name.decode()].encode()
    code = int(quoted["hex"], 16) if quoted["hex"] else int(quoted["code"])
    return chr(code).encode("utf-8", "surrogatepass") if code <= sys.maxunicode else quoted[0]


def _unit(digits: str) -> bytes:
    return _BACKSLASH + b"{1,2}u" + _digits(digits)


def _digits(digits: str) -> bytes:
    """These hexadecimal digits, capitals or not."""
    either = (f"[{digit}{digit.upper()}]" if digit in "abcdef" else digit for digit in digits)
    return "".join(either).encode()
