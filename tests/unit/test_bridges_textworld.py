"""The games of TextWorld as environments."""

from pathlib import Path

import pytest

pytest.importorskip("textworld", reason="the extra 'textworld' is not installed")

import textworld

from shiftwork.environments.bridges.textworld import TextWorldHarness
from shiftwork.environments.bridges.textworld_making import GameMaker
from shiftwork.environments.conformance import check_harness
from shiftwork.environments.registry import make_environment
from shiftwork.errors import InvalidInput

SMALL = {"rooms": 2, "objects": 2, "quest_length": 1}


@pytest.fixture(scope="module")
def game(tmp_path_factory):
    """A game in a file."""
    return GameMaker("custom", {"rooms": 3, "objects": 4, "quest_length": 2}).make(
        3, tmp_path_factory.mktemp("games")
    )


@pytest.mark.parametrize("commands", ["admissible", "any"])
async def test_a_game_keeps_our_rules(game, commands):
    """Evaluations on the games of the field would not be what ours are."""
    report = await check_harness(
        lambda: make_environment(f"textworld/{game}", {"commands": commands, "max_steps": 20}),
        episodes=1,
        steps=8,
    )
    assert report.ok, report.faults


@pytest.mark.filterwarnings("ignore:Game.*not fully supported")  # by the interpreter: TextWorld itself is
async def test_a_game_is_won_by_what_it_asks_for(game):
    """Who does what the game asks for would earn nothing."""
    told = textworld.EnvInfos(extras=["walkthrough"])
    walkthrough = textworld.start(str(game), told).reset()["extra.walkthrough"]
    adventure = TextWorldHarness(str(game))
    seen = await adventure.reset(seed=1)
    assert "-= Bedroom =-" in seen.content
    assert "fly" in (await adventure.step("command", text="fly")).error
    for command in walkthrough:
        assert not seen.done
        assert command in seen.available_actions[0].parameters["text"]["enum"]
        seen = (await adventure.step("command", text=command)).observation
    assert seen.terminated
    assert adventure.is_success()
    assert adventure.get_stats().total_reward == seen.metadata["max_score"]
    await adventure.shutdown()


async def test_a_seed_makes_a_game_and_nothing_of_it_is_left():
    """Episodes could not be repeated, or would fill the disk."""
    texts, folders = [], set()
    for _ in range(2):
        adventure = make_environment("textworld/custom", SMALL)
        texts.append([(await adventure.reset(seed=seed)).content for seed in (1, 2, 1)])
        folders.add(Path(adventure._folder.thing.name))
        await adventure.shutdown()
    assert texts[0] == texts[1]
    assert texts[0][0] == texts[0][2] != texts[0][1]
    assert not any(folder.exists() for folder in folders)


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("nothing", {}, "no game 'nothing'; give the path of a file, or one of: custom, tw-coin_collector"),
        ("nothing.z8", {}, "nothing.z8 is a file and does not exist"),
        ("custom", {"rooms": 0}, "rooms of a custom game is 0; give a number from 1 to 100"),
        ("custom", {"doors": 1}, "takes no 'doors'; it takes: rooms, objects, quest_length"),
        (
            "tw-coin_collector",
            {"level": "x"},
            "can't make tw-coin_collector: argument --level: invalid int value",
        ),
        ("custom", {"commands": "all"}, "one of 'admissible', 'any'"),
    ],
    ids=["unknown", "file", "size", "setting", "challenge", "commands"],
)
def test_what_cannot_be_made_is_told_in_one_sentence(name, parameters, said):
    """People would be shown a traceback of somebody else's code."""
    with pytest.raises(InvalidInput, match=said):
        make_environment(f"textworld/{name}", parameters)
