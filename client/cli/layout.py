"""Markdown of ours as a page for a terminal: tables aligned, lines folded, no escapes."""

import re
from collections.abc import Iterator, Sequence

from client.cli.folding import folded
from client.cli.output import table

_FENCE = re.compile(r"(`{3,})(?:\w+)?")
_HEADING = re.compile(r"(#+) (.*)")
_BULLET = re.compile(r"( *- )")
_MARKUP = re.compile(r"\\(.)|\*\*|`")
_UNDER = {1: "═", 2: "─"}


def laid_out(markdown: str, width: int) -> str:
    """The page, in lines of so many characters; what was run, and what it put out, stays as it is."""
    lines = markdown.rstrip("\n").split("\n")
    return "\n".join(_page(lines, width))


def _page(lines: Sequence[str], width: int) -> Iterator[str]:
    index = 0
    while index < len(lines):
        end = _block(lines, index)
        block = lines[index:end]
        if _FENCE.fullmatch(block[0]):
            yield from (f"    {line}" for line in block[1:-1])
        elif block[0].startswith("|"):
            yield _table(block, width)
        else:
            yield from (_line(line, width) for line in block)
        index = end


def _block(lines: Sequence[str], start: int) -> int:
    """Where what begins here ends: a block of code, a table, or a line."""
    end = start + 1
    if fence := _FENCE.fullmatch(lines[start]):
        while end < len(lines) and lines[end] != fence[1]:
            end += 1
        return min(end + 1, len(lines))
    while lines[start].startswith("|") and end < len(lines) and lines[end].startswith("|"):
        end += 1
    return end


def _table(block: Sequence[str], width: int) -> str:
    head, _, *rows = (_cells(line) for line in block)
    told = [index for index in range(len(head)) if any(row[index] for row in rows)]
    return table([head[i] for i in told], [[row[i] for i in told] for row in rows], width=width)


def _cells(line: str) -> list[str]:
    return [_plain(cell) for cell in line[2:-2].split(" | ")]


def _line(line: str, width: int) -> str:
    if heading := _HEADING.fullmatch(line):
        title = folded(_plain(heading[2]), width=width, hang=0)
        longest = max(map(len, title.split("\n")))
        return f"{title}\n{_UNDER.get(len(heading[1]), '─') * longest}"
    bullet = _BULLET.match(line)
    return folded(_plain(line), width=width, hang=len(bullet[1]) if bullet else 0)


def _plain(text: str) -> str:
    return _MARKUP.sub(lambda found: found[1] or "", text)
