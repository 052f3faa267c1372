"""JSON as people read it: what fits on a line stands on one."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

_PLAIN = (str, int, float, bool, type(None))


def json_lines(value: Any, width: int) -> list[str]:
    """The value on as few lines as are readable, of at most so many characters where its texts let them."""
    return list(_lines(value, "", "", "", width))


def _lines(value: Any, before: str, opening: str, closing: str, width: int) -> Iterator[str]:
    """Its lines.

    Args:
        before: spaces before each of them.
        opening: what stands before it on its line, as a key; `closing` after it, as a comma.
    """
    whole = f"{before}{opening}{_written(value)}{closing}"
    if len(whole) <= width or not isinstance(value, list | dict) or not value:
        yield whole
        return
    brackets = "[]" if isinstance(value, list) else "{}"
    yield f"{before}{opening}{brackets[0]}"
    inner = before + "  "
    if isinstance(value, list) and all(isinstance(each, _PLAIN) for each in value):
        yield from _filled([_written(each) for each in value], inner, width)
    else:
        named = [("", each) for each in value] if isinstance(value, list) else list(value.items())
        for place, (name, each) in enumerate(named):
            key = f"{_written(name)}: " if isinstance(value, dict) else ""
            yield from _lines(each, inner, key, "," if place < len(named) - 1 else "", width)
    yield f"{before}{brackets[1]}{closing}"


def _filled(words: Sequence[str], before: str, width: int) -> Iterator[str]:
    """Words with commas between, as many on a line as fit."""
    line = before
    for place, word in enumerate(words):
        piece = word + ("," if place < len(words) - 1 else "")
        if line.strip() and len(line) + 1 + len(piece) > width:
            yield line
            line = before
        line += f" {piece}" if line.strip() else piece
    yield line


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
