"""Tools that a person adds: by import path, and from MCP servers."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from langchain_core.tools import BaseTool

from shiftwork.agents.events import Problem
from shiftwork.agents.langchain.config import McpServer, ProgramConfig
from shiftwork.agents.langchain.program.endings import Troubled
from shiftwork.agents.langchain.program.models import load_object
from shiftwork.agents.langchain.program.naming import own_named, told_apart


async def tools_of_others(
    config: ProgramConfig,
    workspace: Path,
    environment: Mapping[str, str],
    stack: AsyncExitStack,
    *,
    taken: AbstractSet[str],
) -> list[BaseTool]:
    """All of them, by names that providers take; the servers run until the stack is left.

    Args:
        taken: names of the agent's own tools.

    Raises:
        Troubled: one can't be loaded, or has the name of another.
    """
    own = own_named(((path, tool) for path in config.tools for tool in _tools_at(path)), taken)
    served = await _mcp_tools(config.mcp_servers, workspace, environment, stack)
    return [*own, *told_apart(served, {*taken, *(tool.name for tool in own)})]


async def _mcp_tools(
    servers: Mapping[str, McpServer], workspace: Path, environment: Mapping[str, str], stack: AsyncExitStack
) -> dict[str, list[BaseTool]]:
    """The tools of these servers by the servers' names; raises `Troubled` for one that fails."""
    if not servers:
        return {}
    from langchain_mcp_adapters.sessions import create_session  # noqa: PLC0415 - few projects have one
    from langchain_mcp_adapters.tools import load_mcp_tools  # noqa: PLC0415

    tools: dict[str, list[BaseTool]] = {}
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
            tools[name] = await load_mcp_tools(session, server_name=name)
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
