"""Environments: what an agent acts in and is scored by, an episode at a time."""

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.protocol import (
    ActionDefinition,
    ActionResult,
    EpisodeStats,
    HarnessStatus,
    Observation,
)
from shiftwork.environments.sharing import MadeAgain, NeverChanges

__all__ = [
    "ActionDefinition",
    "ActionResult",
    "BaseHarness",
    "EpisodeStats",
    "HarnessStatus",
    "MadeAgain",
    "NeverChanges",
    "Observation",
]
