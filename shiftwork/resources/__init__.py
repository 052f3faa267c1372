"""What agents use of a machine, what is left of it, and whether another agent may begin.

The names below are the public API; importing this package imports nothing until one of them is used.
"""

from importlib import import_module
from typing import Any

_WHERE = {
    "Gpus": "gpu",
    "find_gpus": "gpu",
    "ResourceLimits": "limits",
    "Machine": "machine",
    "ResourceManager": "manager",
    "ResourceUsage": "usage",
    "Room": "usage",
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
