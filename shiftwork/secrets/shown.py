"""Texts as they are shown: what stood hidden between the letters of a secret is gone there."""

import re
import unicodedata

import re2

from shiftwork.text import printable

# Controls, format characters, marks, and what else shows nothing. By RE2, which is quicker.
_HIDDEN = re2.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x{9f}\p{Cf}\p{M}\p{Zl}\p{Zp}\x{115f}\x{1160}\x{2065}\x{2800}\x{3164}\x{ffa0}"
    r"\x{16fe4}\x{1d159}\x{fff0}-\x{fffb}\x{e0000}-\x{e0fff}]"
)

_SEQUENCES = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\))")
"""What terminals take for colours, titles and links, as `grep --color` writes them around what it finds."""


def as_shown(text: str) -> str:
    """What a terminal, or `printable`, makes of a text; the very same object if that is all of it."""
    if not text.isascii() and not _may_hide(text):
        return text
    plain = printable(_SEQUENCES.sub("", text) if "\x1b" in text else text)
    return text if plain == text else plain


def _may_hide(text: str) -> bool:
    try:
        data = text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which is not shown as it is
        return True
    # Marks are looked for first: without any, normalising takes no longer than reading.
    return _HIDDEN.search(data) is not None or not unicodedata.is_normalized("NFC", text)
