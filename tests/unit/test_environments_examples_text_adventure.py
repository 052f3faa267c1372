"""The castle of the text adventure."""

import random

import pytest

from shiftwork.environments.examples import TextAdventureHarness
from shiftwork.environments.examples.adventure_words import KINDS, ROOMS, TREASURES, TRINKETS
from shiftwork.environments.examples.adventure_world import Place, make_world, solve
from shiftwork.errors import InvalidInput

SIZES = {"easy": (6, 1, 1), "medium": (10, 3, 2), "hard": (16, 5, 3), "least": (7, 5, 0), "most": (30, 5, 6)}


@pytest.mark.parametrize("size", SIZES)
def test_every_castle_can_be_won(size):
    """An episode could be lost before it begins: hundreds of castles are solved, and every bar is needed."""
    for seed in range(200 if size != "most" else 60):
        world = make_world(*SIZES[size], random.Random(seed))
        assert len(world.rooms) == SIZES[size][0]
        assert len(world.openers) == SIZES[size][1]
        assert solve(world, Place()) is not None
        for kind in (kind for room in world.rooms for kind in room.barred.values()):
            assert kind.item in world.lying


def test_nothing_opens_but_by_what_it_takes():
    """The bars would be decoration: without one of their things, the treasure is out of reach."""
    for seed in range(40):
        world = make_world(*SIZES["medium"], random.Random(seed))
        for one in world.openers:
            without = {item: room for item, room in world.lying.items() if item != one}
            assert solve(type(world)(world.rooms, world.treasure, without), Place()) is None


@pytest.mark.parametrize("difficulty", ["easy", "medium", "hard"])
async def test_the_solution_wins_and_leaves_steps_to_spare(difficulty):
    """What the score is held against would not win, or there would be no time to look for it."""
    environment = TextAdventureHarness(difficulty)
    for seed in range(25):
        await environment.reset(seed=seed)
        solution = environment.solution()
        assert 2 * len(solution) <= environment.max_steps
        for action, parameters in solution:
            result = await environment.step(action, **parameters)
            assert result.success, result.error
        stats = environment.get_stats()
        assert stats.success
        assert stats.terminated
        assert stats.total_reward == pytest.approx(1 - 0.01 * len(solution))


async def test_no_way_of_playing_makes_it_unwinnable():
    """An agent could be stuck without having done anything wrong."""
    chance = random.Random(4)
    environment = TextAdventureHarness("medium", max_steps=1_000)
    for seed in range(6):
        seen = await environment.reset(seed=seed)
        for _ in range(40):
            if seen.done:
                break
            action = chance.choice(seen.available_actions)
            parameters = {name: chance.choice(one["enum"]) for name, one in action.parameters.items()}
            result = await environment.step(action.name, **parameters)
            assert result.success, result.error
            seen = result.observation
        for action, parameters in [] if seen.done else environment.solution():
            seen = (await environment.step(action, **parameters)).observation
        assert seen.terminated


async def test_an_agent_can_win_by_what_it_reads():
    """What the observations hold would not be enough: a player who only reads them explores and wins."""
    environment = TextAdventureHarness("medium", max_steps=1_000)
    won = 0
    for seed in range(6):
        chance = random.Random(seed)
        seen = await environment.reset(seed=seed)
        while not seen.done:
            offered = {action.name: action.parameters for action in seen.available_actions}
            exits = offered.get("move", {}).get("direction", {}).get("enum", [])
            unseen = [way for way in exits if f"- {way}: you have not" in seen.content]
            barred = [kind.item for kind in KINDS if f": {kind.bar}. " in seen.content]
            useful = [i for i in offered.get("use", {}).get("item", {}).get("enum", []) if i in barred]
            if "take" in offered:
                result = await environment.step("take", item=offered["take"]["item"]["enum"][0])
            elif useful:
                result = await environment.step("use", item=useful[0])
            else:
                result = await environment.step("move", direction=chance.choice(unseen or exits))
            seen = result.observation
        won += seen.terminated
    assert won == 6


async def test_only_what_is_possible_now_is_offered():
    """An agent would be offered to go through a closed door, or to take what is elsewhere."""
    environment = TextAdventureHarness("hard")
    await environment.reset(seed=11)
    for action, parameters in environment.solution():
        seen = await environment.get_observation()
        offered = {each.name: each.parameters for each in seen.available_actions}
        place, world = environment.place, environment.world
        if place.exits(world):
            assert offered["move"]["direction"]["enum"] == list(place.exits(world))
        assert ("move" in offered) is bool(place.exits(world))
        assert not set(place.barred(world)) & set(place.exits(world))
        assert ("take" in offered) is bool(place.lying(world))
        for way in place.barred(world):
            assert not (await environment.step("move", direction=way)).success
        assert not (await environment.step("take", item="moon")).success
        assert (await environment.step(action, **parameters)).success


async def test_using_a_thing_in_the_wrong_place_keeps_it():
    """A try would cost a key, and with it the game."""
    environment = TextAdventureHarness("easy")
    await environment.reset(seed=2)
    for action, parameters in environment.solution():
        if action == "use":
            break
        await environment.step(action, **parameters)
        if action == "take":
            result = await environment.step("use", item=parameters["item"])
            if not environment.place.opened:
                assert "is of no use here" in result.observation.content
                assert result.reward == pytest.approx(-0.01)
                assert parameters["item"] in result.observation.metadata["carried"]


async def test_looking_shows_the_room_again_and_changes_nothing_else():
    """An agent that looks around would be somewhere else."""
    environment = TextAdventureHarness()
    first = await environment.reset(seed=3)
    place = environment.place
    for action in ("look", "inventory"):
        seen = (await environment.step(action)).observation
        assert seen.content.split("\n", 1)[1] == first.content.split("\n", 1)[1]
    assert environment.place == place


def test_words_are_told_apart():
    """A key would open two doors, or a treasure be two things."""
    names = [kind.item for kind in KINDS] + list(TREASURES) + list(TRINKETS)
    assert len(names) == len(set(names))
    assert len({kind.bar for kind in KINDS}) == len(KINDS)
    assert len({name for name, _ in ROOMS}) == len(ROOMS)


@pytest.mark.parametrize("options", [{"difficulty": "brutal"}, {"rooms": 4}, {"rooms": 31}, {"rooms": "9"}])
def test_parameters_are_checked(options):
    """A castle that can't be built would fail at its first episode."""
    with pytest.raises(InvalidInput, match="; give "):
        TextAdventureHarness(**options)
