"""Bounding and cleaning text that others wrote, before it is stored or shown."""

import json
import re
import unicodedata
from typing import Any

# C0 and C1 controls but tab and newline: what terminals take for commands.
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f"
# Characters of Unicode's category Cf (format): they reorder a line (bidirectional controls), join or part
# their neighbours, or take no room on the line. Signs of Arabic that enclose digits are among them too. The
# two joiners, of the same category, are looked at by themselves below.
_FORMAT = (
    "\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
# Characters of other categories that show nothing: they hide text, or tell two equal looking names apart.
_BLANK = (
    "\u034f"  # combining grapheme joiner
    "\u115f\u1160\u3164\uffa0"  # fillers of Hangul
    "\u17b4\u17b5"  # inherent vowels of Khmer
    "\u180b-\u180f"  # variation selectors of Mongolian
    "\u2800"  # braille without a dot
    "\ufe00-\ufe0d"  # variation selectors but those of emoji; more are beside the tags above
    "\U00016fe4"  # filler of Khitan
    "\U0001d159"  # note without a head
)
_UNSEEN = _FORMAT + _BLANK
_HIDDEN = re.compile(f"[{_CONTROLS}{_UNSEEN}]")
_HIDDEN_BYTES = bytes(byte for byte in range(128) if byte not in b"\t\n" and (byte < 32 or byte == 127))
_LINE_ENDS = re.compile("\r\n|[\u2028\u2029]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_JOINERS = "\u200c\u200d"
_STYLES = "\ufe0e\ufe0f"
# Joiners spell words of some scripts, and some emoji; two selectors choose how an emoji looks. One of them
# stays where the characters beside it may need it.
_LOOSE = re.compile(
    f"(?<![^\x00-\x7f{_JOINERS}])[{_JOINERS}]+|[{_JOINERS}]+(?![^\x00-\x7f{_JOINERS}])"
    f"|(?<![^\x00-\x7f{_JOINERS}{_STYLES}])(?<![0-9#*])[{_STYLES}]+"
    f"|(?<=[0-9#*])[{_STYLES}]+(?!\u20e3)"  # the key of a telephone
)
_IN_JSON = re.compile(f"[{_CONTROLS}{_UNSEEN}{_JOINERS}{_STYLES}\u2028\u2029\ud800-\udfff]")

_MOST_MARKS = 30
"""Marks on one character (Unicode's stream-safe format): normalising takes the square of their number."""
_MARKS = re.compile(rf"[^\x00-\x7f\w]{{{_MOST_MARKS + 1},}}")

# What makes markup, HTML or a link anywhere in a line; bare addresses become links too.
_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#|!~&$@]|(?<=:)/(?=/)|(?<=www)\.)", re.IGNORECASE)


def one_line(text: str) -> str:
    """The text on one line, without control characters; runs of white space become one space."""
    return " ".join(printable(text).split())


def printable(text: str) -> str:
    """The text without control and invisible characters (tabs and newlines stay), in composed normal form.

    What is left can be encoded, and shows in a terminal as what it is: no command, no other order, no
    overwriting, nothing hidden. It takes time in proportion to the text, whatever it holds.
    """
    if text.isascii():
        return text.encode().replace(b"\r\n", b"\n").translate(None, _HIDDEN_BYTES).decode()
    plain = _HIDDEN.sub("", _LINE_ENDS.sub("\n", text))
    plain = _LOOSE.sub("", _SURROGATES.sub("\ufffd", plain))
    return unicodedata.normalize("NFC", _MARKS.sub(_few_marks, plain))


def _few_marks(run: re.Match[str]) -> str:
    """Characters of which some may be marks, at most `_MOST_MARKS` of those in a row."""
    kept = []
    marks = 0
    for character in run[0]:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= _MOST_MARKS:
            kept.append(character)
    return "".join(kept)


def printable_json(value: Any, *, indent: int | None = None) -> str:
    """A JSON document in which whatever `printable` would remove is escaped: safe to show, nothing lost."""
    return _IN_JSON.sub(_escaped, json.dumps(value, indent=indent, ensure_ascii=False))


def _escaped(found: re.Match[str]) -> str:
    return "\\u007f" if found[0] == "\x7f" else json.dumps(found[0])[1:-1]


def plain_markdown(text: str) -> str:
    """Text of any origin for the middle of a line of Markdown: no markup, image, HTML or link comes of it."""
    return _MARKUP.sub(r"\\\1", one_line(text))


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
