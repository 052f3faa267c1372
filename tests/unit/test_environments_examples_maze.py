"""The maze that is seen a corridor at a time."""

import itertools
import random

import pytest

from shiftwork.environments.examples import MazeHarness
from shiftwork.environments.examples.maze_grid import Maze, neighbour
from shiftwork.errors import InvalidInput


@pytest.mark.parametrize(("rows", "columns", "loops"), [(2, 2, 0), (8, 8, 0.1), (5, 13, 0), (12, 7, 1)])
def test_every_cell_of_every_maze_can_be_reached(rows, columns, loops):
    """An episode could be lost before it begins."""
    for seed in range(60):
        maze = Maze.made(rows, columns, loops, random.Random(seed))
        ways = maze.ways_from(maze.start)
        assert len(ways) == rows * columns
        assert maze.exit != maze.start
        assert len(ways[maze.exit]) == max(map(len, ways.values()))
        assert all((b, a) in maze.passages for a, b in maze.passages)
        if loops == 0:
            assert len(maze.passages) == 2 * (rows * columns - 1)


async def test_the_solution_leads_out_of_the_mazes_of_many_seeds():
    """What the score is held against would lead nowhere."""
    environment = MazeHarness(rows=6, columns=7)
    for seed in range(40):
        await environment.reset(seed=seed)
        solution = environment.solution()
        for action, parameters in solution:
            result = await environment.step(action, **parameters)
            assert result.success, result.error
        assert result.observation.terminated
        stats = environment.get_stats()
        assert stats.success
        assert stats.total_reward == pytest.approx(1 - 0.01 * len(solution))


async def test_an_agent_that_keeps_to_the_right_gets_out_and_one_by_chance_later():
    """What is seen would not be enough to play by."""
    order = ["north", "east", "south", "west"]

    async def steps_of(choose, seed):
        environment = MazeHarness(rows=6, columns=6, loops=0, max_steps=200)
        seen = await environment.reset(seed=seed)
        heading = "east"
        while not seen.done:
            heading = choose(heading, seen.available_actions[0].parameters["direction"]["enum"])
            seen = (await environment.step("move", direction=heading)).observation
        return environment.get_stats().total_steps if seen.terminated else 200

    def right_hand(heading, ways):
        at = order.index(heading)
        return next(order[(at + turn) % 4] for turn in (1, 0, 3, 2) if order[(at + turn) % 4] in ways)

    chance = random.Random(3)
    right = [await steps_of(right_hand, seed) for seed in range(3)]
    assert max(right) <= 2 * (6 * 6 - 1)
    by_chance = [await steps_of(lambda _, ways: chance.choice(ways), seed) for seed in range(3)]
    assert sum(right) < sum(by_chance)


def test_sight_ends_at_a_wall_and_at_its_length():
    """A maze would be seen through its walls."""
    row = [(0, column) for column in range(6)]
    pairs = [pair for a, b in itertools.pairwise(row) if a != (0, 3) for pair in ((a, b), (b, a))]
    maze = Maze(2, 6, frozenset([*pairs, ((0, 1), (1, 1)), ((1, 1), (0, 1))]), (0, 0), (1, 5))
    assert maze.in_sight((0, 0), 9) == {(0, 0), (0, 1), (0, 2), (0, 3)}
    assert maze.in_sight((0, 0), 2) == {(0, 0), (0, 1), (0, 2)}
    assert maze.in_sight((0, 1), 1) == {(0, 0), (0, 1), (0, 2), (1, 1)}


async def test_nothing_is_shown_that_is_not_in_sight():
    """Two mazes that differ out of sight would look different: the observation would give them away."""
    environment = MazeHarness(rows=9, columns=9, sight=2, loops=0)
    await environment.reset(seed=4)
    before = await environment.get_observation()
    seen = environment.maze.in_sight(environment.cell, 2)
    walls_around = {
        (cell, neighbour(cell, way)) for cell in seen for way in ("north", "east", "south", "west")
    }
    kept = {pair for pair in environment.maze.passages if pair in walls_around}
    environment.maze = Maze(9, 9, frozenset(kept), environment.maze.start, environment.maze.exit)
    assert await environment.get_observation() == before


async def test_what_was_seen_is_drawn_again_if_that_is_wanted():
    """A person would have to draw a map beside."""
    shown = {}
    for remember in (False, True):
        environment = MazeHarness(sight=1, remember=remember)
        await environment.reset(seed=2)
        for action, parameters in environment.solution()[:8]:
            seen = (await environment.step(action, **parameters)).observation
        shown[remember] = seen.content
    assert shown[True].count(".") > shown[False].count(".")
    assert "@" in shown[False]


async def test_walls_stop():
    """An agent would walk through a wall, or out of the maze."""
    environment = MazeHarness()
    await environment.reset(seed=1)
    for way in {"north", "east", "south", "west"} - set(environment.maze.open_from((0, 0))):
        result = await environment.step("move", direction=way)
        assert not result.success
        assert "is not one of" in result.error
    assert environment.cell == (0, 0)


async def test_a_drawing_shows_walls_and_passages():
    """A person would see another maze than the one that is there."""
    pairs = [((0, 0), (0, 1)), ((0, 1), (1, 1))]
    maze = Maze(2, 2, frozenset(pairs + [(b, a) for a, b in pairs]), (0, 0), (1, 1))
    everything = {(r, c) for r in range(2) for c in range(2)}
    drawn = "+---+---+\n| @   . |\n+---+   +\n| . | E |\n+---+---+"
    assert maze.drawn((0, 0), everything) == drawn


@pytest.mark.parametrize("options", [{"rows": 1}, {"columns": 61}, {"sight": 0}, {"loops": 2}, {"rows": 2.5}])
def test_parameters_are_checked(options):
    """A maze that can't be made would fail at its first episode."""
    with pytest.raises(InvalidInput, match="; give "):
        MazeHarness(**options)
