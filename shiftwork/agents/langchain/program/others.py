"""Tools that a person adds: by import path, and from MCP servers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from langchain_core.tools import BaseTool

from shiftwork.agents.events import Problem
from shiftwork.agents.langchain.config import McpServer
from shiftwork.agents.langchain.program.endings import Troubled
from shiftwork.agents.langchain.program.models import load_object


def imported_tools(paths: Sequence[str]) -> list[BaseTool]:
    """The tools at these import paths; raises `Troubled` where there is none."""
    return [found for path in paths for found in _tools_at(path)]


async def mcp_tools(
    servers: dict[str, McpServer], workspace: Path, environment: Mapping[str, str], stack: AsyncExitStack
) -> list[BaseTool]:
    """The tools of these servers, which run until the stack is left; raises `Troubled` for one that fails."""
    if not servers:
        return []
    from langchain_mcp_adapters.sessions import create_session  # noqa: PLC0415 - few projects have one
    from langchain_mcp_adapters.tools import load_mcp_tools  # noqa: PLC0415

    tools: list[BaseTool] = []
    for name, server in servers.items():
        connection: Any = {
            "transport": "stdio",
            "command": server.command,
            "args": list(server.args),
            "env": {**environment, **server.env},
            "cwd": str(workspace),
        }
        try:
            session = await stack.enter_async_context(create_session(connection))
            await session.initialize()
            tools += await load_mcp_tools(session, server_name=name)
        except Exception as error:  # a server of somebody else's, by a package that raises its own
            raise Troubled(f"The MCP server {name!r} can't be used: {error}", Problem.INVALID) from error
    return tools


def _tools_at(path: str) -> Iterator[BaseTool]:
    try:
        yield from _flat(load_object(path))
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise Troubled(f"The tool {path!r} can't be used: {error}", Problem.INVALID) from error


def _flat(found: Any) -> Iterator[BaseTool]:
    if isinstance(found, list | tuple):
        for item in found:
            yield from _flat(item)
    elif isinstance(found, BaseTool):
        yield found
    elif callable(found):
        yield from _flat(found())
    else:
        raise TypeError(f"{found!r} is neither a tool nor a list of tools")
