"""Redacting what was cut already: half a secret is not recognised, so what may be one goes too."""

import re

from shiftwork.secrets.stream import RedactingText

_CUT = re.compile(r"… \(\d+ more characters\)\Z")  # as `shiftwork.text.truncate` says it


def cut_at(text: str) -> int | None:
    """Where a text ends that was cut; None if it was not."""
    found = _CUT.search(text, max(0, len(text) - 60))
    return None if found is None else found.start()


def without_beginnings(text: str, end: int, stream: RedactingText) -> str:
    """The redacted text, without what at its end may be the beginning of a secret."""
    return stream.feed(text[:end]) + text[end:]
