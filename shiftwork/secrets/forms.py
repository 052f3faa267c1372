"""The forms in which a known value may appear: as it is, and as usual encodings write it."""

import base64
import json
import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from shiftwork.secrets.quoting import quotings
from shiftwork.secrets.shown import as_shown
from shiftwork.secrets.spelling import any_spelling, widest

SHORTEST = 10
"""Bytes below which a value is not looked for: it would stand in too much innocent text."""

_NUMBERS = str.maketrans("", "", "-.:/ ")  # what dates, addresses and versions have between digits
_FEWEST_DIGITS = 16
_FEWEST_LETTERS = 24
_FEWEST_DIFFERENT = 4

LONGEST = 256
"""Bytes above which a line is looked for in pieces, so that a stream never holds back much."""

_TELLING = re.compile("key|secret|token|passw|credential", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://[^@]*$")
_LINE_END = r"(?:\r?\n|\\n|\\r\\n)?"
_LINE_END_BYTES = 4

MOST_ENCODED = 64
"""Pieces of one value of which encoded forms are looked for; what is encoded is swallowed as it goes on."""

_FEW_PIECES = 2

_ANCHOR = 24
"""Bytes of a piece by whose encoding the encoding of the whole is recognised."""

_BASE64, _HEX = r"0-9A-Za-z+/_=\r\n\\-", r"0-9A-Fa-f\r\n"


class Form(NamedTuple):
    """One appearance of a value.

    Attributes:
        text: its bytes.
        wraps: whether line ends may stand anywhere in it, as encoders write them.
        tail: the class of bytes that belong to it as long as they go on; empty for none.
        escapes: whether any character of it may be escaped as in JSON.
    """

    text: bytes
    wraps: bool = False
    tail: str = ""
    escapes: bool = False

    @property
    def width(self) -> int:
        """The most bytes it may take."""
        if self.escapes:
            return widest(self.text)
        return len(self.text) * (1 + _LINE_END_BYTES) if self.wraps else len(self.text)


def is_weak(value: str) -> bool:
    """Whether a value is too short or too ordinary to be told from innocent text: words, small numbers."""
    if len(value.encode("utf-8", "surrogatepass")) < SHORTEST or len(set(value)) < _FEWEST_DIFFERENT:
        return True
    if value.translate(_NUMBERS).isdigit():
        return len(value) < _FEWEST_DIGITS
    is_word = value.isalpha() and (value.islower() or value.isupper() or value.istitle())
    return is_word and value.isascii() and len(value) < _FEWEST_LETTERS


def pattern(form: Form, escape: "Escape") -> bytes:
    """A regular expression for the form."""
    if form.escapes:
        return any_spelling(form.text)
    if not form.wraps:
        return escape(form.text)
    return _LINE_END.encode().join(escape(bytes([byte])) for byte in form.text)


def tail_pattern(alphabet: str) -> re.Pattern[bytes] | None:
    """A regular expression for what goes on after a form, or a token; None if nothing does."""
    return re.compile(f"[{alphabet}]+".encode()) if alphabet else None


class Escape:
    """Quotes bytes for RE2, in Latin-1."""

    def __call__(self, text: bytes) -> bytes:
        """The expression that matches just this."""
        return b"".join(self._byte(byte) for byte in text)

    @staticmethod
    def _byte(byte: int) -> bytes:
        return bytes([byte]) if chr(byte).isalnum() and byte < 128 else b"\\x%02x" % byte


def forms(value: str) -> set[Form]:
    """All forms of a value: of each of its lines, if it has several; none if it is weak."""
    pieces = [
        piece
        for line in _lines(value)
        if not is_weak(line)
        for piece in _pieces(line.encode("utf-8", "surrogatepass"))
    ]
    if len(pieces) <= _FEW_PIECES:
        return {form for piece in pieces for form in (*_written(piece), *_spelt(piece), *_encoded(piece))}
    found = {Form(piece) for piece in pieces}
    step = math.ceil(len(pieces) / MOST_ENCODED)
    for piece in {*pieces[::step], pieces[-1]}:
        found.update(_written(piece))
        found.update(_anchors(piece[:_ANCHOR]))
    return found


def _lines(value: str) -> list[str]:
    """What of a value is looked for: its lines, or what is secret in a JSON object."""
    parts = _credentials(value) or [value]
    lines = [line.strip() for part in parts for line in part.splitlines()]
    if len(lines) > 1:
        # The frame of a key file is no secret, and stands in every other key file too.
        lines = [line for line in lines if not line.startswith("-----")]
    shown = [plain for line in lines if "\ufffd" not in (plain := as_shown(line)) and plain != line]
    return lines + shown


def _credentials(value: str) -> list[str]:
    """The secret fields of a JSON object, such as a service account's file; empty if it is none."""
    if not value.lstrip().startswith("{"):
        return []
    try:
        fields = json.loads(value)
    except (ValueError, RecursionError):
        return []
    return [
        text
        for name, text in fields.items()
        if isinstance(text, str) and _TELLING.search(name) and not _ADDRESS.match(text)
    ]


def _pieces(line: bytes) -> Iterator[bytes]:
    size = math.ceil(len(line) / math.ceil(len(line) / LONGEST))
    for start in range(0, len(line), size):
        piece = line[start : start + size]
        yield piece if len(piece) >= SHORTEST else line[-SHORTEST:]


def _written(piece: bytes) -> Iterator[Form]:
    """As it is, and as other texts quote it."""
    yield Form(piece)
    try:
        text = piece.decode()
    except UnicodeDecodeError:
        return
    # Without the 0 at one end one form does for both orders of bytes, and at the end of a file too.
    yield Form(text.encode("utf-16-le").removesuffix(b"\0"))
    yield Form(text.encode("utf-16-be").removeprefix(b"\0"))
    for escaped in set(quotings(text)):
        yield Form(escaped.encode())


def _spelt(piece: bytes) -> Iterator[Form]:
    """As JSON may write it, whichever of its characters that escapes."""
    try:
        piece.decode()
    except UnicodeDecodeError:
        return
    yield Form(piece, escapes=True)


def _encoded(piece: bytes) -> Iterator[Form]:
    for digits in (piece.hex(), piece.hex().upper()):
        yield Form(digits.encode(), wraps=True)
    for encoded in _base64(piece):
        yield Form(encoded, wraps=True)


def _anchors(beginning: bytes) -> Iterator[Form]:
    """How the encoding of something longer goes on here."""
    for form in _encoded(beginning):
        is_hex = not form.text.strip(b"0123456789abcdefABCDEF")
        yield form._replace(tail=_HEX if is_hex else _BASE64)


def _base64(piece: bytes) -> Iterator[bytes]:
    """What the base64 of anything that holds the piece must hold, wherever the piece begins in it."""
    for before in range(3):
        text = base64.b64encode(bytes(before) + piece).rstrip(b"=")
        # Characters at the ends that also depend on the neighbours are left out.
        first = (0, 2, 3)[before]
        last = len(text) - (1 if (before + len(piece)) % 3 else 0)
        yield text[first:last]
        yield text[first:last].translate(bytes.maketrans(b"+/", b"-_"))
