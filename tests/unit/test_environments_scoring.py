"""What many episodes come to, and the picture of it."""

import math
import re
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


def test_of_one_episode_no_interval_is_told():
    """A division by zero would otherwise end the report of a single episode."""
    assert mean([3.0]) == Estimate(3.0, 3.0, 3.0)


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
        "steps": "6 [-19.4, 31.4]",
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


@pytest.mark.parametrize(
    "rewards", [[1.0], [2.0, 2.0], [-1.0, 5.0, 3.0], [float(each) for each in range(5000)]]
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
