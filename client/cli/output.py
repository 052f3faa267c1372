"""Writing to people and programs; plain text, so that quick commands stay quick."""

import json
import re
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from client.cli.folding import folded, terminal_width
from shiftwork.text import one_line, truncate

_GAP = "  "
_STEERING = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What `json.dumps` leaves as it is."""

_NARROWEST = 12
"""A column that has to give way keeps this many characters."""
_COMFORTABLE = 30
"""While the widest column has less than this, spare columns go."""
_LONGEST_WORD = 24
"""Characters of a word for which a column stays wide enough, if there is room."""


def print_json(value: Any) -> None:
    """One JSON document, for programs and people alike."""
    print(_as_json(value, indent=2))


def print_json_line(value: Any) -> None:
    """One JSON document on a line of its own, at once."""
    print(_as_json(value), flush=True)


def _as_json(value: Any, indent: int | None = None) -> str:
    """JSON in which no character steers a terminal, or reorders what it shows."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    spare: Sequence[int] = (),
    width: int | None = None,
) -> str:
    """Aligned columns under their heads, without control characters; nothing is cut.

    Where a line has no room for all columns, each row becomes lines of its own, with the heads as names.

    Args:
        spare: indices of the columns that a narrow terminal does without, the first first.
        width: how long a line may be, else its cells are wrapped; None: as the terminal is wide, and any
            length where there is none.
    """
    cells = [[one_line(str(cell)) if cell is not None else "" for cell in row] for row in rows]
    lines = [[name.upper() for name in head], *cells]
    room = terminal_width() if width is None else width
    widths = _widths(lines)
    if room is not None:
        left = list(spare)
        while left and _length(widths) > room and max(_fitted(widths, lines, room)) < _COMFORTABLE:
            gone = left.pop(0)
            lines = [[cell for index, cell in enumerate(line) if index != gone] for line in lines]
            left = [index - (index > gone) for index in left]
            widths = _widths(lines)
        widths = _fitted(widths, lines, room)
        if _length(widths) > room:
            return _records(lines[0], lines[1:], room)
    return "\n".join(text for line in lines for text in _wrapped(line, widths))


def _records(head: Sequence[str], rows: Iterable[Sequence[str]], room: int) -> str:
    return "\n\n".join(pairs(zip(head, row, strict=True), width=room) for row in rows)


def _fitted(widths: Sequence[int], lines: Sequence[Sequence[str]], room: int) -> list[int]:
    """The widths of columns that share this room: the widest gives way, first down to its words."""
    words = [max(_longest_word(cell) for cell in column) for column in zip(*lines, strict=True)]
    fitted = _narrowed(widths, [max(_NARROWEST, min(word, _LONGEST_WORD)) for word in words], room)
    return _narrowed(fitted, [max(_NARROWEST, _longest_word(name)) for name in lines[0]], room)


def _longest_word(text: str) -> int:
    return max(map(len, text.split()), default=0)


def _narrowed(widths: Sequence[int], floors: Sequence[int], room: int) -> list[int]:
    fitted = list(widths)
    while _length(fitted) > room:
        givers = [index for index, width in enumerate(fitted) if width > floors[index]]
        if not givers:
            break
        fitted[max(givers, key=lambda index: fitted[index])] -= 1
    return fitted


def _wrapped(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    """One line of a table, as the lines it takes."""
    columns = [_folded(cell, width) for cell, width in zip(line, widths, strict=True)]
    height = max(1, *map(len, columns))
    return [
        _GAP.join(
            (column[index] if index < len(column) else "").ljust(width)
            for column, width in zip(columns, widths, strict=True)
        ).rstrip()
        for index in range(height)
    ]


def _folded(cell: str, width: int) -> list[str]:
    """The lines of a cell; a word that is longer than its column is cut, behind slashes if it is a path."""
    part = re.compile(rf"\S{{1,{width - 1}}}/(?=\S)|\S{{{width}}}(?=\S)")
    long = re.compile(rf"\S{{{width + 1},}}")
    parted = long.sub(lambda word: part.sub(r"\g<0>\n", word[0]), cell)
    return [
        line for piece in parted.split("\n") for line in textwrap.wrap(piece, width, break_on_hyphens=False)
    ]


def pairs(
    rows: Iterable[tuple[str, object]], *, whole: Collection[str] = (), width: int | None = None
) -> str:
    """Names and values, aligned; values that are None or empty are left out.

    Args:
        whole: names whose values stay on one line, as they are to be copied.
        width: see `table`.
    """
    shown = [(name, one_line(str(value))) for name, value in rows if value not in (None, "")]
    names = max((len(name) for name, _ in shown), default=0)
    lines = ((name, f"{name.ljust(names)}{_GAP}{value}") for name, value in shown)
    return "\n".join(
        line if name in whole else folded(line, width=width, hang=names + len(_GAP)) for name, line in lines
    )


def counted(number: int, noun: str) -> str:
    """`1 session`, `2 sessions`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def part_of(shown: int, total: int, more: str) -> str:
    """A line below a list that has no more than a part: `20 of 1,234; …`; empty below all of it."""
    return f"{shown:,} of {total:,}; {more}.\n" if shown < total else ""


def bar(part: int, whole: int, width: int = 24) -> str:
    """A progress bar of so many characters."""
    filled = round(width * part / whole) if whole else 0
    return "█" * filled + "░" * (width - filled)


def duration(seconds: float) -> str:
    """`7s`, `3:07`, `1:02:33`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def clock(at: datetime, now: datetime) -> str:
    """A time of day here, with its date where that is not today's."""
    local = at.astimezone()
    return f"{local:%H:%M}" if local.date() == now.astimezone().date() else f"{local:%Y-%m-%d %H:%M}"


def money(usd: float) -> str:
    """US dollars; small amounts keep what makes them differ from nothing."""
    return f"${usd:.2f}" if usd >= 0.1 or usd == 0 else f"${usd:.4f}"


def estimates(sums: Mapping[str, Any]) -> str:
    """What of these sums is a guess, as the end of a sentence about them; empty if nothing is."""
    guessed = sums["estimated"]
    if not guessed["calls"]:
        return ""
    return f" (estimated of these: {money(guessed['cost_usd'])}, {guessed['tokens']:,} tokens)"


def excerpt(text: str, limit: int = 300) -> str:
    """One line of what somebody wrote."""
    return truncate(one_line(text), limit)


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*lines, strict=True)]


def _length(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)
