"""Putting an environment back to where it was before an action that failed."""

import copy
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from shiftwork.environments.episode import Episode
from shiftwork.environments.protocol import HarnessStatus

if TYPE_CHECKING:
    from shiftwork.environments.base import BaseHarness

_APART: Final = frozenset({"_play"})
"""What the base class keeps, and puts right itself."""


def set_aside(environment: "BaseHarness") -> dict[str, Any] | None:
    """A copy of all that an environment holds; None where something in it can't be copied."""
    state = {name: value for name, value in vars(environment).items() if name not in _APART}
    try:
        return copy.deepcopy(state)
    except Exception:  # noqa: BLE001 - whatever a foreign object's own copying raises
        return None


def put_back(environment: "BaseHarness", state: Mapping[str, Any]) -> None:
    """Let an environment hold what was set aside, and nothing else."""
    held = vars(environment)
    for name in [name for name in held if name not in _APART]:
        del held[name]
    held.update(state)


async def undo(environment: "BaseHarness", episode: Episode, before: Mapping[str, Any] | None) -> None:
    """As it was: from the copy, or made again; an environment for which neither can be done is broken."""
    if before is not None:
        put_back(environment, before)
        return
    if not episode.reproducible:
        environment.status = HarnessStatus.ERROR
        return
    try:
        await _make_again(environment, episode)
    except Exception:  # noqa: BLE001 - whatever foreign code raises
        environment.status = HarnessStatus.ERROR


async def _make_again(environment: "BaseHarness", episode: Episode) -> None:
    environment.random = random.Random(episode.seed)  # noqa: S311 - a game, not a secret
    await environment.reset(seed=episode.seed)  # type: ignore[call-arg] # a reproducible one takes it
    for each in episode.taken:
        await environment.step(each.action, **each.parameters)
    environment.current_step = len(episode.taken)
    environment.status = HarnessStatus.ACTIVE
