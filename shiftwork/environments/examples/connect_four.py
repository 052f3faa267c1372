"""Connect Four: two agents by turns, or one against an opponent that is built in."""

from collections.abc import Iterable
from typing import Any, Final, Literal, get_args

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.examples.connect_four_board import COLUMNS, ROWS, Board, best_column
from shiftwork.environments.protocol import ActionDefinition, ActionResult, Observation
from shiftwork.errors import InvalidInput

Opponent = Literal["random", "minimax"]
Player = Literal["red", "yellow"]

PLAYERS: Final[tuple[Player, Player]] = ("red", "yellow")
"""Who plays, in the order in which they begin."""

_SIGNS: Final = {"red": "R", "yellow": "Y"}
_MOST_DEPTH: Final = 6


class ConnectFourHarness(BaseHarness):
    """Two drop pieces into columns by turns; who first has four in a row, in any direction, wins.

    Who wins earns 1 and the other one -1; a draw earns nobody anything. Without an opponent two agents play,
    and `Observation.agent` says whose turn it is; with one, its answer belongs to the step of the agent.

    Args:
        opponent: `random`, or `minimax`, which looks ahead; None: a second agent.
        depth: how many moves of both `minimax` looks ahead, 1 to 6.
        plays: the colour of the agent that plays against an opponent; red begins.
        max_steps: None: as many as there are cells.

    Raises:
        InvalidInput: a parameter is none of these.
    """

    name = "connect_four"

    def __init__(
        self,
        opponent: Opponent | None = None,
        depth: int = 4,
        plays: Player = "red",
        max_steps: int | None = None,
    ) -> None:
        if opponent is not None and opponent not in get_args(Opponent):
            raise InvalidInput(f"the opponent is {opponent!r}; give 'random', 'minimax' or None")
        if isinstance(depth, bool) or not isinstance(depth, int) or not 1 <= depth <= _MOST_DEPTH:
            raise InvalidInput(f"the opponent's depth is {depth!r}; give a number from 1 to {_MOST_DEPTH}")
        if plays not in PLAYERS:
            raise InvalidInput(f"the agent plays {plays!r}; give 'red' or 'yellow'")
        super().__init__(
            self.name,
            "Drop pieces into columns by turns; who first has four in a row, in any direction, wins.",
            max_steps=ROWS * COLUMNS if max_steps is None else max_steps,
        )
        self.opponent, self.depth, self.plays = opponent, depth, plays
        self.agents = PLAYERS if opponent is None else ()
        self.board = Board()
        self.moves: tuple[int, ...] = ()

    async def reset(self, seed: int | None = None) -> Observation:  # noqa: ARG002 - `self.random` has it
        """An empty board; an opponent that plays red makes the first move."""
        self.board, self.moves = Board(), ()
        if self.opponent is not None and self.plays == "yellow":
            self._drop(self._answer())
        return await self.get_observation()

    async def step(self, action: str, **parameters: Any) -> ActionResult:  # noqa: ARG002 - there is one
        """Drop a piece, and let the opponent answer."""
        mover = self.turn
        self._drop(parameters["column"] - 1)
        if self.opponent is not None and not self._over:
            self._drop(self._answer())
        rewards = {player: self._reward(player) for player in PLAYERS}
        return ActionResult(
            observation=await self.get_observation(),
            reward=rewards[mover],
            rewards=rewards if self.opponent is None else {},
        )

    def get_action_space(self) -> list[ActionDefinition]:
        """One action."""
        return _drop_into(range(COLUMNS))

    async def get_observation(self) -> Observation:
        """The board, and whose turn it is."""
        columns = self.board.open_columns
        return Observation(
            content=f"{self._drawn()}\n\n{self._told()}",
            available_actions=[] if self._over else _drop_into(columns),
            metadata={
                "turn": None if self._over else self.turn,
                "winner": self.winner,
                "moves": [column + 1 for column in self.moves],
                "board": list(map(list, self._cells())),
            },
            terminated=self._over,
            agent=self.turn if self.opponent is None and not self._over else None,
        )

    def is_success(self) -> bool:
        """Whether the agent won; of two agents, whether one did."""
        return self.winner is not None and (self.opponent is None or self.winner == self.plays)

    @property
    def turn(self) -> Player:
        """Who is to move."""
        return PLAYERS[len(self.moves) % 2]

    @property
    def winner(self) -> Player | None:
        """Who has four in a row."""
        return PLAYERS[(len(self.moves) + 1) % 2] if self.board.won else None

    @property
    def _over(self) -> bool:
        return self.board.won or self.board.full

    def _drop(self, column: int) -> None:
        self.board = self.board.drop(column)
        self.moves = (*self.moves, column)

    def _answer(self) -> int:
        if self.opponent == "minimax":
            return best_column(self.board, self.depth, self.random)
        return self.random.choice(self.board.open_columns)

    def _reward(self, player: Player) -> float:
        if self.winner is None:
            return 0.0
        return 1.0 if self.winner == player else -1.0

    def _cells(self) -> list[list[str]]:
        other = PLAYERS[(len(self.moves) + 1) % 2]
        return self.board.cells(_SIGNS[self.turn], _SIGNS[other], ".")

    def _drawn(self) -> str:
        numbers = " ".join(str(column + 1) for column in range(COLUMNS))
        return "\n".join([numbers, *(" ".join(row) for row in self._cells())])

    def _told(self) -> str:
        if self.winner is not None:
            said = f"{self.winner.capitalize()} has four in a row and wins."
        elif self.board.full:
            said = "The board is full: a draw."
        else:
            said = (
                f"It is the turn of {self.turn} ({_SIGNS[self.turn]}). Choose a column from 1 to {COLUMNS}."
            )
        if self.opponent is not None:
            said = f"You play {self.plays} ({_SIGNS[self.plays]}). {said}"
        if not self.moves:
            return f"Four in a row win, in any direction. {said}"
        last = PLAYERS[(len(self.moves) + 1) % 2]
        return f"{last.capitalize()} dropped into column {self.moves[-1] + 1}. {said}"


def _drop_into(columns: Iterable[int]) -> list[ActionDefinition]:
    column = {
        "type": "integer",
        "enum": [each + 1 for each in columns],
        "description": "The column, counted from 1 at the left; full ones are not in the list",
    }
    return [
        ActionDefinition(
            name="drop",
            description="Drop a piece into a column; it falls to the lowest free cell",
            parameters={"column": column},
        )
    ]
