"""Writing to people and programs; plain text, so that quick commands stay quick."""

import json
import shutil
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from shiftwork.text import one_line, truncate

_GAP = "  "
_NARROWEST = 12
"""A column that has to give way keeps this many characters."""


def print_json(value: Any) -> None:
    """One JSON document, for programs and people alike."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_json_line(value: Any) -> None:
    """One JSON document on a line of its own, at once."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, wide: int | None = None) -> str:
    """Aligned columns under their heads, without control characters.

    Args:
        wide: index of the column that is cut where a line would be longer than the terminal.
    """
    cells = [[one_line(str(cell)) if cell is not None else "" for cell in row] for row in rows]
    if wide is not None:
        room = _width() - sum(_widths(head, cells)) + _widths(head, cells)[wide] - len(_GAP) * (len(head) - 1)
        for row in cells:
            row[wide] = truncate_end(row[wide], max(_NARROWEST, room))
    widths = _widths(head, cells)
    lines = [
        _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in ([name.upper() for name in head], *cells)
    ]
    return "\n".join(lines)


def truncate_end(text: str, limit: int) -> str:
    """At most `limit` characters, the last of them an ellipsis if something was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def pairs(rows: Iterable[tuple[str, object]]) -> str:
    """Names and values, aligned; values that are None or empty are left out."""
    shown = [(name, one_line(str(value))) for name, value in rows if value not in (None, "")]
    width = max((len(name) for name, _ in shown), default=0)
    return "\n".join(f"{name.ljust(width)}{_GAP}{value}" for name, value in shown)


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


def excerpt(text: str, limit: int = 300) -> str:
    """One line of what somebody wrote."""
    return truncate(one_line(text), limit)


def _widths(head: Sequence[str], cells: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(head, *cells, strict=True)]


def _width() -> int:
    return shutil.get_terminal_size((110, 24)).columns
