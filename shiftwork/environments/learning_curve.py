"""A picture of rewards, episode by episode, as SVG."""

import math
import sys
from collections.abc import Sequence
from html import escape
from typing import Final

from shiftwork.environments.scoring import moving_average
from shiftwork.errors import InvalidInput
from shiftwork.text import one_line, truncate

_WIDTH: Final = 720
_HEIGHT: Final = 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 46, 48
_MOST_DOTS: Final = 2000
_LINES: Final = 4
_STYLE: Final = (
    "text{font:12px sans-serif;fill:#222}.title{font-size:15px;font-weight:bold}"
    ".grid{stroke:#ccc;stroke-width:1}.dot{fill:#6b7280;fill-opacity:.55}"
    ".mean{fill:none;stroke:#b3400e;stroke-width:2.5}.ground{fill:#fff}"
)


def learning_curve(rewards: Sequence[float], *, title: str, window: int | None = None) -> str:
    """A picture: a dot for the reward of each episode, and a line for their moving average.

    Args:
        rewards: in the order in which the episodes were played.
        title: what was played, and by whom.
        window: episodes that are averaged; None: a tenth of them, at least 5.

    Returns:
        SVG, with a title and a description for those who don't see it; it needs nothing else.

    Raises:
        InvalidInput: there is no reward, one that is not finite, or a window below 1.
    """
    if not rewards or not all(math.isfinite(each) for each in rewards):
        raise InvalidInput("a learning curve needs finite rewards, at least one; play an episode first")
    chosen = max(5, len(rewards) // 10) if window is None else window
    averages = moving_average(rewards, chosen)
    said = escape(truncate(one_line(title), 200))
    scale = _Scale(rewards)
    return "\n".join(
        (
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
                'aria-labelledby="title desc">'
            ),
            f'<title id="title">{said}</title>',
            f'<desc id="desc">{_description(rewards, averages, chosen)}</desc>',
            f"<style>{_STYLE}</style>",
            f'<rect class="ground" width="{_WIDTH}" height="{_HEIGHT}"/>',
            f'<text class="title" x="{_LEFT}" y="24">{said}</text>',
            *_grid(scale, len(rewards)),
            *_dots(scale, rewards),
            f'<polyline class="mean" points="{" ".join(_points(scale, averages))}"/>',
            "</svg>\n",
        )
    )


class _Scale:
    """Where on the picture an episode and a reward are."""

    def __init__(self, rewards: Sequence[float]) -> None:
        low, high = min(rewards), max(rewards)
        # In units of the largest, whose differences are numbers too.
        self._unit = max(abs(low), abs(high), 1.0)
        low, high = low / self._unit, high / self._unit
        room = (high - low) * 0.05 or 0.1
        self._low, self._high = low - room, high + room
        self._last = max(len(rewards) - 1, 1)

    def x(self, place: int) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * place / self._last

    def y(self, reward: float) -> float:
        return self.height((reward / self._unit - self._low) / (self._high - self._low))

    def height(self, share: float) -> float:
        """Where this share of the whole is: 0 at the bottom, 1 at the top."""
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share

    def label(self, share: float) -> str:
        """The reward that is there."""
        reward = (self._low + (self._high - self._low) * share) * self._unit
        return f"{max(-sys.float_info.max, min(reward, sys.float_info.max)):.3g}"


def _description(rewards: Sequence[float], averages: Sequence[float], window: int) -> str:
    return (
        f"Rewards of {len(rewards)} episodes, from {min(rewards):.4g} to {max(rewards):.4g}. The average of "
        f"up to {window} episodes begins at {averages[0]:.4g} and ends at {averages[-1]:.4g}."
    )


def _grid(scale: _Scale, episodes: int) -> list[str]:
    drawn = []
    for number in range(_LINES + 1):
        y = scale.height(number / _LINES)
        drawn.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        drawn.append(
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{scale.label(number / _LINES)}</text>'
        )
    below = _HEIGHT - _BOTTOM + 20
    drawn.append(f'<text x="{_LEFT}" y="{below}">1</text>')
    if episodes > 1:
        drawn.append(f'<text x="{_WIDTH - _RIGHT}" y="{below}" text-anchor="end">{episodes}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    drawn.append(f'<text x="{middle:g}" y="{_HEIGHT - 10}" text-anchor="middle">episode</text>')
    drawn.append(f'<text x="16" y="{_TOP - 8}">reward</text>')
    return drawn


def _dots(scale: _Scale, rewards: Sequence[float]) -> list[str]:
    """At most so many that a browser still draws them at once."""
    every = math.ceil(len(rewards) / _MOST_DOTS)
    return [
        f'<circle class="dot" cx="{scale.x(place):.1f}" cy="{scale.y(rewards[place]):.1f}" r="2.5"/>'
        for place in range(0, len(rewards), every)
    ]


def _points(scale: _Scale, averages: Sequence[float]) -> list[str]:
    every = math.ceil(len(averages) / _MOST_DOTS)
    places = [*range(0, len(averages) - 1, every), len(averages) - 1]
    return [f"{scale.x(place):.1f},{scale.y(averages[place]):.1f}" for place in places]
