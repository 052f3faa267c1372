"""Environments: what an agent acts in and is scored by, an episode at a time."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.protocol import (
    ActionDefinition,
    ActionResult,
    EpisodeStats,
    HarnessStatus,
    Observation,
)
from shiftwork.environments.sharing import MadeAgain, NeverChanges

if TYPE_CHECKING:
    from shiftwork.environments.adapter import HarnessAdapter
    from shiftwork.environments.conformance import check_harness
    from shiftwork.environments.runtime import AgentRuntime
    from shiftwork.environments.tool_result import ToolResult

__all__ = [
    "ActionDefinition",
    "ActionResult",
    "AgentRuntime",
    "BaseHarness",
    "EpisodeStats",
    "HarnessAdapter",
    "HarnessStatus",
    "MadeAgain",
    "NeverChanges",
    "Observation",
    "ToolResult",
    "check_harness",
]

_LATER: Final = {
    "AgentRuntime": "runtime",
    "HarnessAdapter": "adapter",
    "ToolResult": "tool_result",
    "check_harness": "conformance",
}
"""What is imported when it is used first: an environment's process needs neither LangChain nor the rules."""


def __getattr__(name: str) -> Any:
    """One of those."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
