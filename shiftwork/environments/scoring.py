"""What many episodes come to: success, reward and steps, each with how sure that is."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from shiftwork.environments.protocol import EpisodeStats
from shiftwork.errors import InvalidInput

_NORMAL: Final = 1.959964
"""Within so many standard deviations lie 95 % of a normal distribution."""
_STUDENT: Final = (
    *(12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281),
    *(2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860),
    *(2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423),
)
"""The same of Student's t distribution, with 1 to 30 degrees of freedom."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure from some episodes, and where it lies with 95 % confidence for all.

    Attributes:
        value: of the episodes.
        low: the lower end; None where there is too little to tell.
        high: the upper end; None as well.
    """

    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        return self._text(".3g")

    @property
    def percent(self) -> str:
        """A share, in percent."""
        return self._text(".0%")

    def _text(self, form: str) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:{form}}"
        return f"{self.value:{form}} [{self.low:{form}}, {self.high:{form}}]"


@dataclass(frozen=True, slots=True)
class Score:
    """What episodes come to.

    Attributes:
        episodes: how many there are.
        success: share of those that reached their aim, with Wilson's interval.
        reward: mean of an episode, with Student's interval.
        steps: mean of an episode, with Student's interval, cut off where no mean can be: below 1 where each
            episode has a step, else below 0.
        truncated: how many were cut short.
        refused: mean number of refused actions of an episode.
    """

    episodes: int
    success: Estimate
    reward: Estimate
    steps: Estimate
    truncated: int
    refused: float

    def row(self) -> dict[str, str]:
        """As a row of a results table, a text for each column."""
        return {
            "episodes": str(self.episodes),
            "success": self.success.percent,
            "reward": str(self.reward),
            "steps": str(self.steps),
            "truncated": str(self.truncated),
            "refused": f"{self.refused:.3g}",
        }


def score(episodes: Sequence[EpisodeStats]) -> Score:
    """What episodes come to.

    Raises:
        InvalidInput: there are none.
    """
    if not episodes:
        raise InvalidInput("there is no episode to score; play one first")
    steps = [each.total_steps for each in episodes]
    return Score(
        episodes=len(episodes),
        success=success_rate(sum(each.success for each in episodes), len(episodes)),
        reward=mean([each.total_reward for each in episodes]),
        steps=_not_below(min(1, *steps), mean(steps)),
        truncated=sum(each.truncated for each in episodes),
        refused=statistics.fmean(each.refused_actions for each in episodes),
    )


def success_rate(successes: int, of: int) -> Estimate:
    """The share of successes, with Wilson's interval: it is right for few episodes and for shares of 0 and 1.

    Raises:
        InvalidInput: more successes than episodes, or none of those.
    """
    if not 0 <= successes <= of or of == 0:
        raise InvalidInput(f"{successes} of {of} episodes can't have succeeded; give at least one episode")
    share, square = successes / of, _NORMAL**2
    middle = (share + square / (2 * of)) / (1 + square / of)
    reach = _NORMAL * math.sqrt(share * (1 - share) / of + square / (4 * of**2)) / (1 + square / of)
    low = 0.0 if successes == 0 else middle - reach
    return Estimate(share, low, 1.0 if successes == of else middle + reach)


def mean(values: Sequence[float]) -> Estimate:
    """The mean, with Student's interval; of one value, or where numbers don't reach, nothing more is told.

    Raises:
        InvalidInput: there is no value, or one that is not finite.
    """
    if not values or not all(math.isfinite(each) for each in values):
        raise InvalidInput("a mean needs finite numbers, at least one; leave the others out")
    value = average(values)
    if len(values) == 1:
        return Estimate(value)
    try:
        reach = _student(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    except OverflowError:
        return Estimate(value)
    low, high = value - reach, value + reach
    return Estimate(value, low, high) if math.isfinite(low) and math.isfinite(high) else Estimate(value)


def _not_below(least: float, estimate: Estimate) -> Estimate:
    return estimate if estimate.low is None else replace(estimate, low=max(estimate.low, least))


def average(values: Sequence[float]) -> float:
    """The mean alone, of at least one number, however large they are."""
    try:
        return statistics.fmean(values)
    except OverflowError:
        return math.fsum(value / len(values) for value in values)


def _student(freedom: int) -> float:
    if freedom <= len(_STUDENT):
        return _STUDENT[freedom - 1]
    # the first terms of Cornish and Fisher's expansion; exact to five digits from 30 on
    z, cube, fifth, seventh = (_NORMAL**power for power in (1, 3, 5, 7))
    first = (cube + z) / (4 * freedom)
    second = (5 * fifth + 16 * cube + 3 * z) / (96 * freedom**2)
    return z + first + second + (3 * seventh + 19 * fifth + 17 * cube - 15 * z) / (384 * freedom**3)


def moving_average(values: Sequence[float], window: int) -> list[float]:
    """For each value the mean of it and those before it, `window` at most.

    Raises:
        InvalidInput: the window is below 1.
    """
    if window < 1:
        raise InvalidInput(f"the window of a moving average is {window}; give at least 1")
    averages, total = [], Fraction(0)  # exact: what is taken off again leaves nothing behind
    for place, value in enumerate(values):
        total += Fraction(value) - (Fraction(values[place - window]) if place >= window else 0)
        averages.append(float(total / min(place + 1, window)))
    return averages
