"""A maze of which only that is seen which is in sight."""

from typing import Any, Final

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.examples.maze_grid import DIRECTIONS, Cell, Maze, neighbour
from shiftwork.environments.protocol import ActionDefinition, ActionResult, Observation
from shiftwork.errors import InvalidInput

COST: Final = 0.01
"""What each step costs."""

_MOST_SIZE: Final = 60


class MazeHarness(BaseHarness):
    """The exit of a maze is to be found, seeing no farther than the next wall.

    Every cell can be reached; the exit is the one that is farthest from the start. Getting there earns 1,
    and each step costs `COST`.

    Args:
        rows, columns: the size of the maze in cells, 2 to 60 each.
        sight: how many cells far one sees along a passage.
        loops: which share of the walls that could be left out is, 0 to 1; 0: there is one way only.
        remember: whether what was seen before is drawn too; else an agent has to remember it.
        max_steps: None: four for each cell.

    Raises:
        InvalidInput: a parameter is out of its range.
    """

    name = "maze"

    def __init__(
        self,
        rows: int = 8,
        columns: int = 8,
        sight: int = 3,
        loops: float = 0.1,
        *,
        remember: bool = False,
        max_steps: int | None = None,
    ) -> None:
        for what, number, least in (("rows", rows, 2), ("columns", columns, 2), ("sight", sight, 1)):
            if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= _MOST_SIZE:
                raise InvalidInput(f"{what} is {number!r}; give a whole number from {least} to {_MOST_SIZE}")
        if not 0 <= loops <= 1:
            raise InvalidInput(f"loops is {loops!r}; give a share from 0 to 1")
        super().__init__(
            self.name,
            f"Find the exit of a maze of {rows} rows and {columns} columns; you see only what is in sight.",
            max_steps=4 * rows * columns if max_steps is None else max_steps,
        )
        self.rows, self.columns, self.sight, self.loops = rows, columns, sight, loops
        self.remember = remember
        self.maze = Maze(rows, columns, frozenset(), (0, 0), (0, 0))
        self.cell: Cell = (0, 0)
        self.seen: frozenset[Cell] = frozenset()
        self.way: tuple[str, ...] = ()

    async def reset(self, seed: int | None = None) -> Observation:  # noqa: ARG002 - `self.random` has it
        """Make a maze, and stand at its start."""
        self.maze = Maze.made(self.rows, self.columns, self.loops, self.random)
        self.cell, self.way, self.seen = self.maze.start, (), frozenset()
        self._look()
        return await self.get_observation()

    async def step(self, action: str, **parameters: Any) -> ActionResult:  # noqa: ARG002 - there is one
        """Go to a cell beside."""
        self.cell = neighbour(self.cell, parameters["direction"])
        self.way = (*self.way[-1:], parameters["direction"])
        self._look()
        reward = (1.0 if self.is_success() else 0.0) - COST
        return ActionResult(observation=await self.get_observation(), reward=reward)

    def get_action_space(self) -> list[ActionDefinition]:
        """One action."""
        return _move(list(DIRECTIONS))

    async def get_observation(self) -> Observation:
        """What is in sight, as a drawing and in words."""
        found = self.is_success()
        known = set(self.seen) if self.remember else self.maze.in_sight(self.cell, self.sight)
        ways = self.maze.open_from(self.cell)
        return Observation(
            content=f"{self.maze.drawn(self.cell, known)}\n\n{self._told(ways)}",
            available_actions=[] if found else _move(ways),
            metadata={
                "row": self.cell[0] + 1,
                "column": self.cell[1] + 1,
                "open": list(ways),
                "exit_in_sight": self.maze.exit in known,
            },
            terminated=found,
        )

    def is_success(self) -> bool:
        """Whether the exit was reached."""
        return self.cell == self.maze.exit

    def solution(self) -> list[tuple[str, dict[str, Any]]]:
        """The shortest way from here to the exit: what to call `step` with, one after the other."""
        return [("move", {"direction": way}) for way in self.maze.ways_from(self.cell)[self.maze.exit]]

    def _look(self) -> None:
        if self.remember:
            self.seen |= self.maze.in_sight(self.cell, self.sight)

    def _told(self, ways: list[str]) -> str:
        place = f"row {self.cell[0] + 1}, column {self.cell[1] + 1}"
        if self.is_success():
            return f"You are at {place}: this is the exit."
        came = f" You came here going {self.way[-1]}." if self.way else ""
        return (
            f"You (@) are at {place} of a maze of {self.rows} rows and {self.columns} columns; row 1 is the "
            f"northernmost, column 1 the westernmost.{came} You can go {_listed(ways)}. Find the exit (E)."
        )


def _listed(ways: list[str]) -> str:
    return ways[0] if len(ways) == 1 else f"{', '.join(ways[:-1])} or {ways[-1]}"


def _move(ways: list[str]) -> list[ActionDefinition]:
    direction = {
        "type": "string",
        "enum": ways,
        "description": "Where to go; only directions without a wall are in the list",
    }
    return [
        ActionDefinition(name="move", description="Go to the next cell", parameters={"direction": direction})
    ]
