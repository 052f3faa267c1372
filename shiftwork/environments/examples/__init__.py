"""Environments to play, and to learn from how one is written."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.examples.coding_challenge import CodingChallengeHarness
from shiftwork.environments.examples.connect_four import ConnectFourHarness
from shiftwork.environments.examples.inventory import InventoryHarness
from shiftwork.environments.examples.maze import MazeHarness
from shiftwork.environments.examples.number_guess import NumberGuessHarness
from shiftwork.environments.examples.text_adventure import TextAdventureHarness

__all__ = [
    "EXAMPLES",
    "CodingChallengeHarness",
    "ConnectFourHarness",
    "InventoryHarness",
    "MazeHarness",
    "NumberGuessHarness",
    "TextAdventureHarness",
]

EXAMPLES: Final[Mapping[str, type[BaseHarness]]] = MappingProxyType(
    {
        one.name: one
        for one in (
            CodingChallengeHarness,
            ConnectFourHarness,
            InventoryHarness,
            MazeHarness,
            NumberGuessHarness,
            TextAdventureHarness,
        )
    }
)
"""Every one by its name."""
