"""Lines that fit the terminal: folded between words, and never within one."""

import shutil
import sys
import textwrap

_UNKNOWN = (110, 24)


def terminal_width() -> int | None:
    """Characters of a line of the terminal that standard output is; None if it is none."""
    return shutil.get_terminal_size(_UNKNOWN).columns if sys.stdout.isatty() else None


def folded(text: str, *, width: int | None = None, hang: int | None = None) -> str:
    """The text, with its lines folded where they are longer than the terminal is wide.

    What is longer than a line by itself, as a path or an address, stays whole: it can still be copied.

    Args:
        width: characters of a line; None: as the terminal has, and any number where there is none.
        hang: spaces before what is folded; None: two more than stand before the line.
    """
    room = terminal_width() if width is None else width
    if room is None:
        return text
    return "\n".join(_folded(line, room, hang) for line in text.split("\n"))


def _folded(line: str, room: int, hang: int | None) -> str:
    if len(line) <= room:
        return line
    before = len(line) - len(line.lstrip())
    lines = textwrap.wrap(
        line,
        room,
        subsequent_indent=" " * min(before + 2 if hang is None else hang, 2 * room // 3),
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
        drop_whitespace=True,
    )
    return "\n".join(lines)
