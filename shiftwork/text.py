"""Bounding and cleaning text that others wrote, before it is stored or shown."""

import re
import unicodedata

# C0 and C1 controls but tab and newline, and the bidirectional controls that reorder what a terminal shows.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def one_line(text: str) -> str:
    """The text on one line, without control characters; runs of white space become one space."""
    return " ".join(printable(text).split())


def printable(text: str) -> str:
    """The text without control characters (tabs and newlines stay), in composed normal form."""
    return unicodedata.normalize("NFC", _CONTROLS.sub("", text.replace("\r\n", "\n")))


def truncate(text: str, limit: int) -> str:
    """At most `limit` characters; says so at the end when something was cut."""
    if len(text) <= limit:
        return text
    note = f"… ({len(text) - limit} more characters)"
    return text[: max(0, limit - len(note))] + note[:limit]


def tail(data: bytes, limit: int) -> str:
    """The last `limit` bytes as printable text; invalid UTF-8 is replaced."""
    cut = data[-limit:]
    # A cut in the middle of a character leaves at most three continuation bytes in front.
    while cut and len(data) > limit and 0x80 <= cut[0] < 0xC0:
        cut = cut[1:]
    return printable(cut.decode("utf-8", "replace"))
