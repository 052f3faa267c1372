"""The board of Connect Four: which columns are open, who has four in a row, and what is a good move."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Self

COLUMNS: Final = 7
ROWS: Final = 6

# A column takes seven bits, of which the highest stays empty: no line goes from one column into the next.
_HEIGHT: Final = ROWS + 1
_FULL: Final = sum(((1 << ROWS) - 1) << column * _HEIGHT for column in range(COLUMNS))
_WAYS: Final = (1, _HEIGHT, _HEIGHT - 1, _HEIGHT + 1)
"""From a cell to the next one: up, to the side, and the two diagonals."""

_MIDDLE_FIRST: Final = (3, 2, 4, 1, 5, 0, 6)
_WIN: Final = 1_000.0


def _lines() -> Iterator[int]:
    for column in range(COLUMNS):
        for row in range(ROWS):
            for sideways, up in ((0, 1), (1, 0), (1, -1), (1, 1)):
                cells = [(column + i * sideways, row + i * up) for i in range(4)]
                if all(c < COLUMNS and 0 <= r < ROWS for c, r in cells):
                    yield sum(1 << c * _HEIGHT + r for c, r in cells)


_LINES: Final = tuple(_lines())


@dataclass(frozen=True, slots=True)
class Board:
    """The pieces of two players, as bits; a move gives another board.

    Attributes:
        mover: those of whoever is to move.
        other: those of the other one, who moved last.
    """

    mover: int = 0
    other: int = 0

    @property
    def open_columns(self) -> tuple[int, ...]:
        """Those, from 0, that are not full."""
        taken = self.mover | self.other
        return tuple(c for c in range(COLUMNS) if not taken >> (c * _HEIGHT + ROWS - 1) & 1)

    @property
    def full(self) -> bool:
        """Whether nobody can move."""
        return self.mover | self.other == _FULL

    @property
    def won(self) -> bool:
        """Whether who moved last has four in a row."""
        return any((two := self.other & self.other >> way) & two >> 2 * way for way in _WAYS)

    def drop(self, column: int) -> Self:
        """The board after a move into a column that is open; then the other one is to move."""
        taken = self.mover | self.other
        fallen = taken + (1 << column * _HEIGHT) & ~taken
        return replace(self, mover=self.other, other=self.mover | fallen)

    def cells(self, mover: str, other: str, empty: str) -> list[list[str]]:
        """The rows from the top, each from the left, in these words."""
        return [
            [self._cell(c * _HEIGHT + r, mover, other, empty) for c in range(COLUMNS)]
            for r in reversed(range(ROWS))
        ]

    def _cell(self, bit: int, mover: str, other: str, empty: str) -> str:
        if self.mover >> bit & 1:
            return mover
        return other if self.other >> bit & 1 else empty


def best_column(board: Board, depth: int, chance: random.Random) -> int:
    """The column that looks best after so many moves of both; by chance among equals."""
    scored = [(-_value(board.drop(c), depth - 1, -math.inf, math.inf), c) for c in board.open_columns]
    best = max(score for score, _ in scored)
    return chance.choice([column for score, column in scored if score == best])


def _value(board: Board, depth: int, least: float, most: float) -> float:
    """What a board is worth to who is to move: above 0 is good; a win is worth more the sooner it comes."""
    if board.won:
        return -_WIN - depth
    if board.full:
        return 0.0
    if depth <= 0:
        return _outlook(board)
    columns = board.open_columns
    best = -math.inf
    for column in _MIDDLE_FIRST:
        if column in columns:
            best = max(best, -_value(board.drop(column), depth - 1, -most, -max(least, best)))
            if best >= most:
                break
    return best


def _outlook(board: Board) -> float:
    """Lines that only one of the two can still complete, by how far they are."""
    total = 0
    for line in _LINES:
        mine, theirs = line & board.mover, line & board.other
        if mine and not theirs:
            total += mine.bit_count() ** 2
        elif theirs and not mine:
            total -= theirs.bit_count() ** 2
    return float(total)
