"""Whether data ends in the beginning of a known value."""

import re
from bisect import bisect_left
from collections.abc import Iterable

from shiftwork.secrets.forms import Form
from shiftwork.secrets.spelling import unescaped, unquoted

FEWEST = 4
"""Bytes of a value that are taken for its beginning; fewer stand at the end of every other text."""

_WHITE = re.compile(rb"\\[rn]|[\r\n]")


class Beginnings:
    """The beginnings of these forms."""

    def __init__(self, forms: Iterable[Form]) -> None:
        forms = tuple(forms)
        self._plain = sorted(form.text for form in forms if not form.wraps)
        self._wrapped = sorted(form.text for form in forms if form.wraps)
        self._openings = {form.text[:FEWEST] for form in forms}
        self._width = max((form.width for form in forms), default=0)

    def begun(self, data: bytes) -> int:
        """Where a value begins of which the data's end is a part; the data's length if none does."""
        for start in range(max(0, len(data) - self._width), len(data) - FEWEST + 1):
            rest = data[start:]
            if _starts_any(self._plain, rest):
                return start
            bare = _WHITE.sub(b"", rest)
            if len(bare) >= FEWEST and bare[:1] == rest[:1] and _starts_any(self._wrapped, bare):
                return start
            if b"\\" in rest and self._is_spelt(unescaped(rest)):
                return start
            if (b"%" in rest or b"&" in rest) and self._is_spelt(unquoted(rest)):
                return start
        return len(data)

    def _is_spelt(self, spelt: bytes) -> bool:
        """Whether this, of which characters were escaped, begins a value."""
        return len(spelt) >= FEWEST and _starts_any(self._plain, spelt)


def _starts_any(ordered: list[bytes], beginning: bytes) -> bool:
    place = bisect_left(ordered, beginning)
    return place < len(ordered) and ordered[place].startswith(beginning)
