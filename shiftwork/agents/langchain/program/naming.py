"""Names of tools that others bring: such as every provider takes, and each of one tool alone."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from hashlib import sha256
from typing import Final

from langchain_core.tools import BaseTool

from shiftwork.agents.events import Problem
from shiftwork.agents.langchain.program.endings import Troubled

OWN_NAMES: Final = frozenset(
    {
        *("ls", "read_file", "write_file", "edit_file", "delete", "glob", "grep", "execute"),
        *("write_todos", "task", "record_decision", "log_progress", "ask_person", "hand_over"),
        *("add_features", "remove_features", "finish_plan", "submit_plan", "give_verdict"),
    }
)
"""What the agent's own tools are called, in any role."""

_LONGEST: Final = 64
_DIGEST: Final = 8
_OTHERS: Final = re.compile(r"[^a-zA-Z0-9_-]+")
_BEGINNING: Final = re.compile(r"[a-zA-Z_]")


def fitted(name: str) -> str:
    """The name as every provider takes it: one that is too long is cut, and told apart by a digest."""
    fit = _OTHERS.sub("_", name)
    if not _BEGINNING.match(fit):
        fit = f"_{fit}"
    return fit if len(fit) <= _LONGEST else _marked(fit, name)


def own_named(tools: Iterable[tuple[str, BaseTool]], taken: AbstractSet[str]) -> list[BaseTool]:
    """The tools of a person, each with the import path that it came by, under names that fit.

    Raises:
        Troubled: one has a name that is in `taken`, or two have the same.
    """
    named: dict[str, BaseTool] = {}
    paths: dict[str, str] = {}
    for path, tool in tools:
        name = fitted(tool.name)
        if name in taken:
            raise _refused(f"The tool {path!r} is called {name!r}, as one of the agent's own is: rename it.")
        if name in named:
            raise _refused(
                f"The tools {paths[name]!r} and {path!r} are both called {name!r}: rename or leave out one."
            )
        named[name], paths[name] = _renamed(tool, name), path
    return list(named.values())


def told_apart(servers: Mapping[str, Sequence[BaseTool]], taken: AbstractSet[str]) -> list[BaseTool]:
    """The tools of MCP servers; the server's name stands before one that is in `taken`, or is not alone.

    A name does not depend on the order in which a server tells its tools.

    Raises:
        Troubled: a server has two tools of one name.
    """
    brought = [(server, tool) for server, tools in servers.items() for tool in tools]
    names = [fitted(tool.name) for _, tool in brought]
    for lengthened in (_prefixed, _digested):
        seen = Counter(names)
        names = [
            lengthened(server, tool.name) if name in taken or seen[name] > 1 else name
            for name, (server, tool) in zip(names, brought, strict=True)
        ]
    seen = Counter(names)
    for name, (server, tool) in zip(names, brought, strict=True):
        if name in taken or seen[name] > 1:
            raise _refused(f"The MCP server {server!r} has more than one tool called {tool.name!r}.")
    return [_renamed(tool, name) for name, (_, tool) in zip(names, brought, strict=True)]


def _prefixed(server: str, name: str) -> str:
    return fitted(f"{server}_{name}")


def _digested(server: str, name: str) -> str:
    return _marked(_prefixed(server, name), f"{server}/{name}")


def _marked(fit: str, whole: str) -> str:
    return f"{fit[: _LONGEST - _DIGEST - 1]}_{sha256(whole.encode()).hexdigest()[:_DIGEST]}"


def _renamed(tool: BaseTool, name: str) -> BaseTool:
    return tool if tool.name == name else tool.model_copy(update={"name": name})


def _refused(sentence: str) -> Troubled:
    return Troubled(sentence, Problem.INVALID)
