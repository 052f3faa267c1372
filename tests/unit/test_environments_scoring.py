"""What many episodes come to, and the picture of it."""

import json
import math
import re
import statistics
from xml.etree import ElementTree as ET

import pytest

from shiftwork.environments import EpisodeStats
from shiftwork.environments.learning_curve import learning_curve
from shiftwork.environments.scoring import Estimate, mean, moving_average, score, success_rate
from shiftwork.errors import InvalidInput

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("successes", "of", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662)],
)
def test_a_success_rate_has_its_interval_of_wilson(successes, of, low, high):
    """A rate of 10 in 10 would otherwise be told as certain."""
    found = success_rate(successes, of)

    assert found.value == successes / of
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


@pytest.mark.parametrize(
    ("count", "student"), [(2, 12.7062), (5, 2.7764), (31, 2.0423), (61, 2.0003), (1001, 1.9623)]
)
def test_a_mean_has_its_interval_of_student(count, student):
    """Few episodes would otherwise seem to tell more than they do."""
    values = [float(each % 2) for each in range(count)]
    average = sum(values) / count
    spread = math.sqrt(sum((each - average) ** 2 for each in values) / (count - 1))

    found = mean(values)

    assert found.value == pytest.approx(average)
    assert found.high - found.value == pytest.approx(student * spread / math.sqrt(count), rel=1e-4)
    assert found.value - found.low == pytest.approx(found.high - found.value)


@pytest.mark.parametrize(
    ("steps", "low"),
    [((4, 8, 16), 1.0), ((0, 4, 8), 0.0), ((9, 10, 11), 7.516), ((0, 0), 0.0), ((1, 1), 1.0)],
)
def test_the_interval_of_steps_holds_numbers_of_steps_alone(steps, low):
    """An agent would be told to win in less than no step."""
    found = score([EpisodeStats(total_steps=each, total_reward=-1.0, success=True) for each in steps])

    assert found.steps.low == pytest.approx(low, abs=1e-3)
    assert found.steps.low <= found.steps.value <= found.steps.high
    assert found.reward == Estimate(-1.0, -1.0, -1.0)


def test_of_one_episode_no_interval_is_told():
    """A single episode would otherwise be told as certain, with 95 % confidence, for all."""
    assert mean([3.0]) == Estimate(3.0, None, None)
    told = score([EpisodeStats(total_steps=4, total_reward=2.77, success=True, terminated=True)]).row()
    assert (told["reward"], told["steps"], told["success"]) == ("2.77", "4", "100% [21%, 100%]")


@pytest.mark.parametrize("count", [*range(2, 40), 61, 121, 1001])
def test_the_interval_of_student_holds_95_percent_of_his_distribution(count):
    """A slip in the table would make every interval of so many episodes wrong."""
    values = [float(each % 2) for each in range(count)]
    found, freedom = mean(values), count - 1
    student = (found.high - found.value) / (statistics.stdev(values) / math.sqrt(count))
    log_scale = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - math.log(freedom * math.pi) / 2

    def density(t):
        return math.exp(log_scale - (freedom + 1) / 2 * math.log1p(t * t / freedom))

    assert 2 * integral(density, student) == pytest.approx(0.95, abs=5e-6)


@pytest.mark.parametrize(
    ("successes", "of"), [(0, 1), (1, 1), (1, 2), (3, 7), (10, 10), (81, 263), (1, 10_000)]
)
def test_the_ends_of_wilsons_interval_are_as_far_off_as_95_percent_are(successes, of):
    """A slip in the formula would make every success rate seem surer, or less sure, than it is."""
    found = success_rate(successes, of)
    assert 0 <= found.low <= found.value <= found.high <= 1
    for end in {found.low, found.high} - {0.0, 1.0}:
        deviations = abs(found.value - end) / math.sqrt(end * (1 - end) / of)
        held = 2 * integral(lambda z: math.exp(-z * z / 2) / math.sqrt(2 * math.pi), deviations)
        assert held == pytest.approx(0.95, abs=1e-6)


def integral(density, until, pieces=4000):
    """From 0, by Simpson's rule."""
    width = until / pieces
    inner = sum((4 if place % 2 else 2) * density(place * width) for place in range(1, pieces))
    return (density(0.0) + inner + density(until)) * width / 3


@pytest.mark.parametrize(
    ("values", "value"),
    [([1e308, 1e308], 1e308), ([1e308, -1e308], 0.0), ([1.7e308] * 3, 1.7e308), ([1e308, 0.0], 5e307)],
    ids=["two", "opposite", "three", "one"],
)
def test_rewards_near_the_largest_number_can_still_be_told(values, value):
    """One episode of an odd environment would otherwise break each list that it is in."""
    found = mean(values)
    assert found.value == pytest.approx(value)
    assert (found.low, found.high) in ((None, None), (found.value, found.value))
    told = score([EpisodeStats(total_steps=1, total_reward=each) for each in values])
    assert json.loads(json.dumps(told.reward.value)) == pytest.approx(value)


def test_episodes_are_scored_together():
    """A results table would otherwise compare what does not belong together."""
    episodes = [
        EpisodeStats(total_steps=4, total_reward=1.0, success=True, terminated=True),
        EpisodeStats(total_steps=8, total_reward=0.0, truncated=True, refused_actions=3),
    ]

    found = score(episodes)

    assert (found.episodes, found.truncated, found.refused) == (2, 1, 1.5)
    assert (found.success.value, found.reward.value, found.steps.value) == (0.5, 0.5, 6.0)
    assert found.row() == {
        "episodes": "2",
        "success": "50% [9%, 91%]",
        "reward": "0.5 [-5.85, 6.85]",
        "steps": "6 [1, 31.4]",
        "truncated": "1",
        "refused": "1.5",
    }


@pytest.mark.parametrize(
    "call",
    [
        lambda: score([]),
        lambda: mean([]),
        lambda: mean([1.0, math.inf]),
        lambda: success_rate(3, 2),
        lambda: success_rate(0, 0),
        lambda: moving_average([1.0], 0),
        lambda: learning_curve([], title="none"),
        lambda: learning_curve([math.nan], title="none"),
    ],
    ids=["score", "mean", "infinite", "rate", "no-rate", "window", "no-curve", "nan-curve"],
)
def test_what_cannot_be_scored_is_told(call):
    """People would otherwise get a traceback, or a figure that means nothing."""
    with pytest.raises(InvalidInput, match=r"; (give|play|leave) "):
        call()


def test_a_moving_average_takes_the_last_values():
    """The curve would otherwise show a trend that is none."""
    assert moving_average([1.0, 3.0, 5.0, 7.0], 2) == [1.0, 2.0, 4.0, 6.0]
    assert moving_average([], 3) == []
    assert moving_average([1e20, *([1.0] * 5)], 2)[2:] == [1.0] * 4
    assert moving_average([1.5e308] * 3, 2) == [1.5e308] * 3


@pytest.mark.parametrize(
    "rewards",
    [
        [1.0],
        [2.0, 2.0],
        [-1.0, 5.0, 3.0],
        [float(each) for each in range(5000)],
        [1.7e308, -1.7e308],
        [1.7e308] * 3,
        [5e-324, 0.0],
        [1e20, *([1.0] * 9)],
        [1e-9, 2e-9],
    ],
)
def test_a_learning_curve_is_a_picture_that_everybody_can_read(rewards):
    """A browser would otherwise show nothing, and a screen reader say nothing."""
    drawn = learning_curve(rewards, title="maze & <player> \u202e", window=2)

    root = ET.fromstring(drawn)
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "title desc"
    assert root.findtext(f"{SVG}title") == "maze & <player>"
    assert f"Rewards of {len(rewards)} episodes" in root.findtext(f"{SVG}desc")
    points = re.findall(r"[-\d.]+", root.find(f"{SVG}polyline").get("points"))
    assert 1 <= len(root.findall(f"{SVG}circle")) <= 2000
    assert all(0 <= float(each) <= 720 for each in points)
    assert len(drawn) < 300_000
    assert "nan" not in drawn
    assert "inf" not in drawn
