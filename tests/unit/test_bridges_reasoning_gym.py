"""The tasks of Reasoning Gym as environments."""

import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what it needs itself, the first time that it is compiled
    pytest.importorskip("reasoning_gym", reason="the extra 'reasoning-gym' is not installed")

from shiftwork.environments.bridges.reasoning_gym import ReasoningGymHarness
from shiftwork.environments.conformance import check_harness
from shiftwork.environments.registry import make_environment
from shiftwork.errors import InvalidInput


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("leg_counting", {}), ("countdown", {"attempts": 3}), ("prime_factorization", {})],
    ids=["leg_counting", "countdown", "prime_factorization"],
)
async def test_a_task_keeps_our_rules(name, parameters):
    """Evaluations on the tasks of the field would not be what ours are."""
    report = await check_harness(lambda: make_environment(f"reasoning-gym/{name}", parameters), episodes=2)
    assert report.ok, report.faults


async def test_an_episode_earns_its_best_score():
    """An answer would be judged by anything but Reasoning Gym's own program."""
    task = ReasoningGymHarness("leg_counting", attempts=3)
    seen = await task.reset(seed=42)
    assert "how many legs are there in total" in seen.content
    assert "100" not in seen.content
    wrong = await task.step("answer", answer="99")
    assert (wrong.reward, wrong.done, task.is_success()) == (0.0, False, False)
    right = await task.step("answer", answer="100")
    assert (right.reward, right.done, task.is_success()) == (1.0, True, True)
    assert right.observation.metadata == {"scores": [0.0, 1.0], "attempts_left": 1}
    assert task.get_stats().total_reward == 1.0


async def test_what_cannot_be_read_is_wrong():
    """An answer that its scorer stumbles over would not count, and be another try for nothing."""
    task = ReasoningGymHarness("prime_factorization")
    await task.reset(seed=1)
    result = await task.step("answer", answer="I do not know")
    assert (result.success, result.reward, result.done) == (True, 0.0, True)
    assert "ValueError" in result.metadata["unread"]


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("nothing", {}, "no data set 'nothing'; it has: .*leg_counting"),
        ("leg_counting", {"colour": 1}, "unexpected keyword argument 'colour'"),
        ("leg_counting", {"min_animals": -3}, "min_animals must be positive"),
        ("leg_counting", {"attempts": 0}, "0 attempts were given"),
    ],
    ids=["unknown", "option", "value", "attempts"],
)
def test_what_cannot_be_made_is_told_in_one_sentence(name, parameters, said):
    """People would be shown a traceback of somebody else's code."""
    with pytest.raises(InvalidInput, match=said):
        make_environment(f"reasoning-gym/{name}", parameters)
