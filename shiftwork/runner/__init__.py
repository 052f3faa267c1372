"""Running programs to their end: streamed, bounded, and with nothing left of them afterwards.

The names below are the public API; importing this package imports nothing until one of them is used.
"""

from importlib import import_module
from typing import Any

_WHERE = {
    "AgentConfig": "config",
    "AgentInfo": "config",
    "AgentSignal": "config",
    "AgentStatus": "config",
    "ExitStatus": "config",
    "ProcessRunnerConfig": "config",
    "AgentError": "failures",
    "CommunicationError": "failures",
    "ExecutionError": "failures",
    "InvalidContext": "failures",
    "IoError": "failures",
    "NotFound": "failures",
    "ProviderError": "failures",
    "SpawnFailed": "failures",
    "Timeout": "failures",
    "AgentHandle": "handle",
    "LocalAgentHandle": "handle",
    "Limits": "limits",
    "AgentRunner": "local",
    "LocalProcessRunner": "local",
    "AgentMetrics": "metrics",
    "MetricsSink": "metrics",
    "PrometheusText": "metrics",
    "AgentPool": "pool",
    "Usage": "process",
    "GracefulShutdown": "shutdown",
}

__all__ = sorted(_WHERE)  # noqa: PLE0605 - derived from the one table above


def __dir__() -> list[str]:
    """The public names, for people who explore."""
    return __all__


def __getattr__(name: str) -> Any:
    """Import a public name where it is first used."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
