"""Environments for several agents: those of PettingZoo as ours, and ours as PettingZoo's."""

import warnings

import numpy as np
import pytest

pytest.importorskip("pettingzoo", reason="the extra 'pettingzoo' is not installed")

from gymnasium import spaces
from pettingzoo import ParallelEnv

from shiftwork.environments.bridges.pettingzoo import HarnessAEC, PettingZooHarness
from shiftwork.environments.conformance import check_harness
from shiftwork.environments.examples import ConnectFourHarness
from shiftwork.environments.host import Order
from shiftwork.environments.hosting import EnvironmentHost
from shiftwork.environments.registry import make_environment
from shiftwork.environments.trajectory import Ending
from shiftwork.errors import InvalidInput
from shiftwork.sandbox.choose import cheap_sandbox

with warnings.catch_warnings():  # their tests import a game in the old way
    warnings.simplefilter("ignore", DeprecationWarning)
    from pettingzoo.test import api_test, seed_test

WIN = (0, 1, 0, 1, 0, 1, 0)
"""Columns with which red wins."""

EXPECTED = (
    "Observation is not a NumPy array",  # but a dictionary with a mask, as in PettingZoo's own games
    "Observation space for each agent probably should be gymnasium.spaces.box",
    "We recommend agents to be named",  # red and yellow are ours
    "all zeros (no legal actions)",  # after the end
)


class Matching(ParallelEnv):
    """Two choose at the same time; who matches wins a point, for three rounds."""

    metadata = {"name": "matching", "render_modes": []}

    def __init__(self, *, cut=False):
        self.possible_agents = ["even", "odd"]
        self.agents = []
        self.render_mode = None
        self.cut = cut
        self.spaces = {"even": spaces.Discrete(2), "odd": spaces.Discrete(3)}

    def observation_space(self, agent):
        return spaces.Box(0, 3, (1,), np.int64)

    def action_space(self, agent):
        return self.spaces[agent]

    def reset(self, seed=None, options=None):
        self.agents = list(self.possible_agents)
        self.round = 0
        return self._seen(), {agent: {} for agent in self.agents}

    def step(self, actions):
        self.round += 1
        won = 1.0 if actions["even"] == actions["odd"] else -1.0
        over = dict.fromkeys(self.agents, self.round == 3)
        never = dict.fromkeys(self.agents, False)
        ends = (never, over) if self.cut else (over, never)
        seen, infos = self._seen(), {agent: {} for agent in self.agents}
        if self.round == 3:
            self.agents = []
        return seen, {"even": won, "odd": -won}, *ends, infos

    def _seen(self):
        return {agent: np.array([self.round]) for agent in self.agents}


def test_pettingzoos_own_checkers_find_nothing():
    """What plays PettingZoo's games would stumble over ours."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        api_test(HarnessAEC("connect_four", render_mode="ansi"), num_cycles=50)
    told = [str(each.message) for each in found]
    assert [each for each in told if not any(known in each for known in EXPECTED)] == []
    seed_test(lambda: HarnessAEC("connect_four"), num_cycles=50)


def test_each_agent_is_told_what_it_may_know():
    """An agent would be asked out of its turn, or credited with what another one did."""
    env = HarnessAEC(ConnectFourHarness(), render_mode="ansi")
    env.reset(seed=1)
    for number, column in enumerate(WIN):
        assert env.agent_selection == ("red", "yellow")[number % 2]
        assert env.infos[env.agent_selection]["agent"] == env.agent_selection
        waiting = ("yellow", "red")[number % 2]
        assert env.observe(env.agent_selection)["action_mask"].all()
        assert not env.observe(waiting)["action_mask"].any()
        env.step(column)
    assert env.rewards == {"red": 1.0, "yellow": -1.0}
    assert env.terminations == {"red": True, "yellow": True}
    assert env.truncations == {"red": False, "yellow": False}
    assert "wins" in env.render()
    assert all("wins" in info["content"] for info in env.infos.values())
    for _ in range(2):
        env.step(None)
    assert env.agents == []
    env.close()
    env.close()


def test_a_refused_action_leaves_the_turn_where_it_is():
    """One wrong move would cost an agent its turn, or the game."""
    env = HarnessAEC("connect_four", refused_reward=-0.1)
    env.reset(seed=1)
    for _ in range(6):
        env.step(3)
    mask = env.observe("red")["action_mask"]
    assert mask.tolist() == [1, 1, 1, 0, 1, 1, 1]
    env.step(3)
    assert env.agent_selection == "red"
    assert env.last()[1] == -0.1
    assert "column" in env.infos["red"]["error"]
    env.step(0)
    assert env.agent_selection == "yellow"
    env.close()


def test_a_learner_gives_its_own_encoding():
    """Nobody learns from the bytes of a text."""
    env = HarnessAEC(
        "connect_four",
        encode=lambda seen: (np.array(seen.metadata["board"]) == "R").astype(np.int8),
        encoded=spaces.Box(0, 1, (6, 7), np.int8),
    )
    env.reset(seed=1)
    env.step(2)
    seen = env.observe("yellow")
    assert env.observation_space("yellow").contains(seen)
    assert seen["observation"].sum() == seen["observation"][5, 2] == 1
    env.close()


@pytest.mark.parametrize(
    ("name", "said"),
    [("maze", "give it to HarnessEnv"), ("coding_challenge", "HarnessEnv")],
    ids=["one", "text"],
)
def test_what_is_for_one_agent_is_told(name, said):
    """A learner would wait for the turn of nobody."""
    with pytest.raises(InvalidInput, match=said):
        HarnessAEC(name)


@pytest.mark.parametrize(
    "made",
    [lambda: HarnessAEC("connect_four"), Matching, lambda: Matching(cut=True)],
    ids=["turns", "at-once", "cut"],
)
async def test_a_game_of_pettingzoo_keeps_our_rules(made):
    """Evaluations on the games of the field would not be what ours are."""
    report = await check_harness(lambda: PettingZooHarness(made()), episodes=2, steps=45)
    assert report.ok, report.faults


async def test_a_game_is_the_same_through_both_bridges():
    """Results could not be compared with anybody else's."""
    game = PettingZooHarness(HarnessAEC("connect_four"))
    seen = await game.reset(seed=1)
    assert game.agents == ("red", "yellow")
    for number, column in enumerate(WIN):
        assert seen.agent == ("red", "yellow")[number % 2]
        result = await game.step("act", value=column)
        seen = result.observation
    assert result.reward == 1.0
    assert result.rewards == {"red": 1.0, "yellow": -1.0}
    assert (seen.terminated, seen.truncated, seen.agent) == (True, False, None)
    assert game.get_stats().rewards == {"red": 1.0, "yellow": -1.0}
    assert bytes(seen.content).decode().rstrip("\0").endswith("wins.")
    await game.shutdown()


async def test_agents_with_other_actions_each_have_their_own():
    """An agent would be offered the actions of another one."""
    game = PettingZooHarness(Matching(cut=True))
    seen = await game.reset(seed=1)
    assert seen.available_actions[0].parameters["value"]["maximum"] == 1
    assert not (await game.step("act", value=2)).success
    seen = (await game.step("act", value=1)).observation
    assert seen.available_actions[0].parameters["value"]["maximum"] == 2
    for value in (2, 1, 1, 1, 1):
        result = await game.step("act", value=value)
    assert result.observation.truncated
    assert not result.observation.terminated
    assert game.get_stats().rewards == {"even": 1.0, "odd": -1.0}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("classic/nowhere-v1", "PettingZoo can't make 'classic/nowhere-v1'"),
        ("", "names none of pettingzoo's"),
    ],
    ids=["unknown", "no-name"],
)
def test_what_cannot_be_made_is_told_in_one_sentence(name, said):
    """People would be shown a traceback of somebody else's code."""
    with pytest.raises(InvalidInput, match=said):
        make_environment(f"pettingzoo/{name}")


@pytest.mark.parametrize("game", ["tictactoe-v3", "connect_four-v3", "rps-v2", "go-v5"])
async def test_its_classic_games_are_there(game, tmp_path):
    """The names in the documents would need packages that the extra does not bring."""
    pytest.importorskip("pygame", reason="the extra 'pettingzoo' is not installed as it is now")
    host = EnvironmentHost(cheap_sandbox(), tmp_path)

    async def keep(step, seconds): ...

    order = Order(environment=f"pettingzoo/classic/{game}", seed=3, most_steps=200)
    over = await host.play(order, on_step=keep)
    assert over.trajectory.stats.total_steps >= 2
    assert over.trajectory.ending in (Ending.TERMINATED, Ending.TRUNCATED, Ending.STOPPED)
    assert over.trajectory.stats.refused_actions == 0


def test_what_was_refused_is_forgotten_once_an_action_is_taken():
    """A learner would go on reading why its last move but one was refused."""
    game = HarnessAEC("connect_four")
    game.reset(seed=1)
    for wrong in (99, 1.5, "abc", None):
        game.step(wrong)
        assert game.agent_selection == "red"
        assert "0 to 6" in game.infos["red"]["error"]
    game.step(1)

    assert (game.agent_selection, game.infos["red"]["error"]) == ("yellow", None)
    game.close()
