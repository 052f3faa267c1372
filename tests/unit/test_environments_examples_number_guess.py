"""The number to guess."""

import pytest

from shiftwork.environments import HarnessStatus
from shiftwork.environments.examples import NumberGuessHarness
from shiftwork.errors import InvalidInput


async def play_by_halves(environment, seed):
    """The best way to play: what is known is halved by each guess."""
    seen = await environment.reset(seed=seed)
    while not seen.done:
        middle = (seen.metadata["least"] + seen.metadata["most"]) // 2
        result = await environment.step("guess", number=middle)
        assert result.success, result.error
        seen = result.observation
    return environment.get_stats()


@pytest.mark.parametrize("ends", [(1, 100), (0, 0), (-7, 8), (1, 10**6)])
async def test_halving_finds_it_in_the_number_of_guesses_that_is_told(ends):
    """The score that agents are held against would not be within reach, or not the best."""
    environment = NumberGuessHarness(*ends)
    all_stats = [await play_by_halves(environment, seed) for seed in range(60)]
    assert all(stats.success and stats.total_steps <= environment.optimum for stats in all_stats)
    gained = 1.0 if ends[0] < ends[1] else 0.0
    for stats in all_stats:
        assert stats.total_reward == pytest.approx(gained + 1 - 0.1 * stats.total_steps)


async def test_every_number_needs_at_most_the_optimum_and_one_needs_it():
    """`optimum` would be a guess itself."""
    environment = NumberGuessHarness(1, 13)
    steps = [(await play_by_halves(environment, seed)).total_steps for seed in range(80)]
    assert max(steps) == environment.optimum == 4


async def test_the_samples_of_the_guide_work():
    """Whoever begins with the guide would stop at its first page."""
    harness = NumberGuessHarness()
    await harness.initialize()
    obs = await harness.reset()
    assert obs.content == "I am thinking of a whole number from 1 to 100. Guesses left: 10."
    assert [a.name for a in obs.available_actions] == ["guess"]
    while not obs.done:
        result = await harness.step("guess", number=50)
        obs = result.observation
    assert harness.status is HarnessStatus.COMPLETED
    assert harness.get_stats().total_steps in range(1, 11)


async def test_a_wasted_guess_costs_and_says_nothing_new():
    """An agent would be paid for asking what it knows."""
    environment = NumberGuessHarness(1, 100)
    await environment.reset(seed=3)
    wrong = 50 if environment.number != 50 else 51
    first = await environment.step("guess", number=wrong)
    second = await environment.step("guess", number=wrong)
    assert first.reward > 0
    assert second.reward == pytest.approx(-0.1)
    assert second.observation.metadata["guesses"] == [wrong, wrong]
    way = "higher" if wrong < environment.number else "lower"
    assert f"go {way}." in second.observation.content
    assert "it is from" in second.observation.content


async def test_an_episode_without_the_number_is_no_success():
    """Half the way would count as there, because it earned something."""
    environment = NumberGuessHarness(1, 100, max_steps=1)
    await environment.reset(seed=3)
    wrong = 50 if environment.number != 50 else 51
    seen = (await environment.step("guess", number=wrong)).observation
    assert seen.truncated
    assert seen.content.endswith(f"No guess is left; it was {environment.number}.")
    assert environment.get_stats().total_reward > 0
    assert not environment.get_stats().success


@pytest.mark.parametrize("number", [0, 101, "50", 50.5, True, None])
async def test_only_numbers_of_the_range_are_guesses(number):
    """A slip would cost a guess."""
    environment = NumberGuessHarness()
    await environment.reset(seed=3)
    assert not (await environment.step("guess", number=number)).success
    assert environment.guesses == []


@pytest.mark.parametrize("ends", [(2, 1), (1, 2.5), (True, 3), ("1", "9")])
def test_a_range_has_numbers(ends):
    """The first episode would fail, and not say why."""
    with pytest.raises(InvalidInput, match="give integers, the lower one first"):
        NumberGuessHarness(*ends)
