"""Connect Four, for two agents and against an opponent."""

import itertools
import random

import pytest

from shiftwork.environments.examples import ConnectFourHarness
from shiftwork.environments.examples.connect_four_board import COLUMNS, ROWS, Board, best_column
from shiftwork.errors import InvalidInput

DRAW = [1, 2, 1, 2, 1, 2, 2, 1, 2, 1, 2, 1, 3, 4, 3, 4, 3, 4, 4, 3, 4, 3, 4, 3]
DRAW += [5, 6, 5, 6, 5, 6, 6, 5, 6, 5, 6, 5, 7, 7, 7, 7, 7, 7]


async def played(columns, **options):
    """What came of moves, each of which is legal."""
    environment = ConnectFourHarness(**options)
    await environment.reset(seed=1)
    result = None
    for column in columns:
        result = await environment.step("drop", column=column)
        assert result.success, result.error
    return environment, result


def four_in_a_row(cells, sign):
    """Looked up the slow way, cell by cell."""
    at = {(r, c): cells[r][c] for r in range(ROWS) for c in range(COLUMNS)}
    ways = [(0, 1), (1, 0), (1, 1), (1, -1)]
    return any(
        all(at.get((r + i * down, c + i * right)) == sign for i in range(4))
        for (r, c), (down, right) in itertools.product(at, ways)
    )


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param([1, 2, 1, 2, 1, 2, 1], id="up"),
        pytest.param([1, 1, 2, 2, 3, 3, 4], id="sideways"),
        pytest.param([1, 2, 2, 3, 3, 4, 3, 4, 4, 6, 4], id="rising"),
        pytest.param([7, 6, 6, 5, 5, 4, 5, 4, 4, 2, 4], id="falling"),
    ],
)
async def test_four_in_a_row_win_in_every_direction(columns):
    """A won game would go on."""
    environment, result = await played(columns)
    assert result.observation.terminated
    assert (result.reward, result.rewards) == (1.0, {"red": 1.0, "yellow": -1.0})
    assert result.observation.content.endswith("Red has four in a row and wins.")
    assert result.observation.available_actions == []
    assert environment.get_stats().success
    assert environment.get_stats().rewards == {"red": 1.0, "yellow": -1.0}


async def test_a_full_board_is_a_draw():
    """The last piece would leave a game that nobody can go on with."""
    environment, result = await played(DRAW)
    assert result.observation.terminated
    assert not result.observation.truncated
    assert result.rewards == {"red": 0.0, "yellow": 0.0}
    assert result.observation.content.endswith("a draw.")
    assert not environment.get_stats().success


async def test_turns_change_and_only_open_columns_are_there():
    """An agent would move for the other one, or be offered what is refused."""
    environment, result = await played([4] * 6)
    assert result.observation.agent == "red"
    offered = result.observation.available_actions[0].parameters["column"]["enum"]
    assert offered == [1, 2, 3, 5, 6, 7]
    refused = await environment.step("drop", column=4)
    assert not refused.success
    assert "4 is not one of [1, 2, 3, 5, 6, 7]" in refused.error
    assert refused.observation.agent == "red"
    assert (await environment.step("drop", column=1)).observation.agent == "yellow"


def test_a_won_board_is_one_where_somebody_has_four_in_a_row():
    """The quick test of a win would miss some, or see lines around the edge."""
    chance = random.Random(5)
    wins = 0
    for _ in range(300):
        board = Board()
        while not (board.won or board.full):
            assert not four_in_a_row(board.cells("m", "o", "."), "m")
            board = board.drop(chance.choice(board.open_columns))
            assert board.won is four_in_a_row(board.cells("m", "o", "."), "o")
        wins += board.won
    assert wins > 250


@pytest.mark.parametrize("plays", ["red", "yellow"])
async def test_minimax_takes_a_win_and_stops_one(plays):
    """A stronger opponent would not be one."""
    chance = random.Random(1)
    threat = Board()
    for column in (0, 6, 1, 6, 2):
        threat = threat.drop(column)
    assert best_column(threat, 2, chance) == 3
    assert best_column(threat.drop(5), 1, chance) == 3
    won = 0
    environment = ConnectFourHarness(opponent="minimax", depth=3, plays=plays)
    for seed in range(6):
        seen = await environment.reset(seed=seed)
        while not seen.done:
            column = chance.choice(seen.available_actions[0].parameters["column"]["enum"])
            seen = (await environment.step("drop", column=column)).observation
        won += environment.winner not in (plays, None)
    assert won == 6


@pytest.mark.parametrize("opponent", ["random", "minimax"])
async def test_an_opponent_answers_in_the_same_step_and_alike_for_a_seed(opponent):
    """An agent alone would wait for a move that nobody makes; or an episode could not be repeated."""

    async def game():
        environment = ConnectFourHarness(opponent=opponent, depth=2, plays="yellow")
        seen = await environment.reset(seed=9)
        assert len(seen.metadata["moves"]) == 1
        assert seen.agent is None
        while not seen.done:
            column = seen.available_actions[0].parameters["column"]["enum"][0]
            result = await environment.step("drop", column=column)
            seen = result.observation
            assert seen.done or seen.metadata["turn"] == "yellow"
        assert result.reward == {"yellow": 1.0, "red": -1.0, None: 0.0}[seen.metadata["winner"]]
        return seen.metadata["moves"], environment.get_stats().success == (result.reward > 0)

    first, second = await game(), await game()
    assert first == second
    assert first[1]


@pytest.mark.parametrize("options", [{"opponent": "human"}, {"depth": 0}, {"depth": 9}, {"plays": "blue"}])
def test_parameters_are_checked(options):
    """A misspelt opponent would be another one."""
    with pytest.raises(InvalidInput, match="; give "):
        ConnectFourHarness(**options)
