"""The one line that tells most in the words about a failed attempt, which `explain` and agents write."""

import re

from shiftwork.text import one_line, truncate

_LIMIT = 160
_LACKS = re.compile(r"\((standard output lacks .*)\)", re.DOTALL)


def headline(detail: str) -> str:
    """What a failed step printed last, why one that plays failed, or how anything else began; maybe empty.

    It is what an agent or its programs wrote: fit for the rows, never for a history.
    """
    first, command, rest = detail.partition("\nCommand: ")
    if not command:
        return truncate(one_line(first.strip().partition("\n")[0]), _LIMIT)
    before, _, output = rest.partition("\nOutput:")
    if said := before.partition("\nPlayed:\n")[2]:
        return truncate(one_line(said.partition("\n")[0]), _LIMIT)
    printed = [line for line in output.split("\n") if line.strip()]
    last = one_line(printed[-1]) if printed else ""
    lacks = _LACKS.fullmatch(last)
    return truncate(lacks.group(1) if lacks else last, _LIMIT)


def sentence(detail: str) -> str:
    """The words before a failed step's command and output: which step of what, and how it ended."""
    return one_line(detail.partition("\nCommand: ")[0])
