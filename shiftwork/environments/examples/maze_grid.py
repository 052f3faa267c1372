"""Mazes: made by chance, so that every cell can be reached; what is in sight from a cell, and the way out."""

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, Self

from shiftwork.environments.sharing import NeverChanges

Cell = tuple[int, int]
"""A row and a column, counted from 0 at the top left."""

DIRECTIONS: Final = MappingProxyType({"north": (-1, 0), "east": (0, 1), "south": (1, 0), "west": (0, -1)})

_START: Final[Cell] = (0, 0)


def neighbour(cell: Cell, direction: str) -> Cell:
    """The cell beside."""
    down, right = DIRECTIONS[direction]
    return cell[0] + down, cell[1] + right


@dataclass(frozen=True)
class Maze(NeverChanges):
    """A maze, which never changes.

    Attributes:
        rows, columns: its size in cells.
        passages: pairs of neighbours between which there is no wall, each both ways.
        start, exit: where one begins, and wants to go.
    """

    rows: int
    columns: int
    passages: frozenset[tuple[Cell, Cell]]
    start: Cell
    exit: Cell

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    @classmethod
    def made(cls, rows: int, columns: int, loops: float, chance: random.Random) -> Self:
        """A maze in which each cell can be reached from each; the exit is the one that is farthest.

        Args:
            loops: which share of the walls that could be left out is, so that there is more than one way.
        """
        tree = cls(rows, columns, frozenset(_carved(rows, columns, chance)), _START, _START)
        walls = [pair for pair in tree.pairs() if pair not in tree.passages]
        opened = chance.sample(walls, round(loops * len(walls)))
        passages = tree.passages | set(opened) | {(b, a) for a, b in opened}
        maze = cls(rows, columns, frozenset(passages), _START, _START)
        farthest = max(maze.ways_from(_START).items(), key=lambda found: (len(found[1]), found[0]))[0]
        return replace(maze, exit=farthest)

    def pairs(self) -> Iterator[tuple[Cell, Cell]]:
        """All neighbours, each pair once."""
        for row in range(self.rows):
            for column in range(self.columns):
                if column + 1 < self.columns:
                    yield (row, column), (row, column + 1)
                if row + 1 < self.rows:
                    yield (row, column), (row + 1, column)

    def open_from(self, cell: Cell) -> list[str]:
        """The directions without a wall."""
        return [way for way in DIRECTIONS if (cell, neighbour(cell, way)) in self.passages]

    def in_sight(self, cell: Cell, far: int) -> set[Cell]:
        """The cells that are seen from one: straight on until there is a wall, at most so far."""
        seen = {cell}
        for way in DIRECTIONS:
            here = cell
            for _ in range(far):
                if (here, neighbour(here, way)) not in self.passages:
                    break
                here = neighbour(here, way)
                seen.add(here)
        return seen

    def ways_from(self, cell: Cell) -> dict[Cell, tuple[str, ...]]:
        """The shortest way from a cell to each."""
        ways: dict[Cell, tuple[str, ...]] = {cell: ()}
        waiting = deque([cell])
        while waiting:
            here = waiting.popleft()
            for way in self.open_from(here):
                there = neighbour(here, way)
                if there not in ways:
                    ways[there] = (*ways[here], way)
                    waiting.append(there)
        return ways

    def drawn(self, here: Cell, known: set[Cell]) -> str:
        """The known cells with the walls around them, and no more of the maze than that."""
        top, bottom = min(row for row, _ in known), max(row for row, _ in known)
        left, right = min(column for _, column in known), max(column for _, column in known)
        lines = [[" "] * (4 * (right - left + 1) + 1) for _ in range(2 * (bottom - top + 1) + 1)]
        for cell in known:
            y, x = 2 * (cell[0] - top) + 1, 4 * (cell[1] - left) + 2
            lines[y][x] = "@" if cell == here else "E" if cell == self.exit else "."
            for way, (down, sideways) in DIRECTIONS.items():
                if (cell, neighbour(cell, way)) in self.passages:
                    continue
                if down:
                    lines[y + down][x - 2 : x + 3] = "+---+"
                else:
                    lines[y][x + 2 * sideways] = "|"
                    for corner in (y - 1, y + 1):
                        lines[corner][x + 2 * sideways] = "+"
        return "\n".join("".join(line).rstrip() for line in lines)


def _carved(rows: int, columns: int, chance: random.Random) -> Iterator[tuple[Cell, Cell]]:
    """Passages that join all cells, with exactly one way between any two."""
    path, seen = [_START], {_START}
    while path:
        here = path[-1]
        ahead = [there for way in DIRECTIONS if (there := neighbour(here, way)) not in seen]
        ahead = [(row, column) for row, column in ahead if 0 <= row < rows and 0 <= column < columns]
        if not ahead:
            path.pop()
            continue
        there = chance.choice(ahead)
        yield here, there
        yield there, here
        seen.add(there)
        path.append(there)
