"""Tools through which a chat model runs projects. Importing this imports nothing until a name is used."""

from importlib import import_module
from typing import Any

__all__ = ["LONG_RUNNING_TOOLS", "long_running_tools"]


def __dir__() -> list[str]:
    """The public names, for people who explore."""
    return __all__


def __getattr__(name: str) -> Any:
    """Import LangChain only where its tools are wanted: the MCP server does without."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("client.tools.langchain"), name)
