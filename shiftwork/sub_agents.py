"""Specialists as data: who does the features of a category, in a form that can cross processes."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ValidationError

from shiftwork.agents.langchain.providers import PROVIDERS
from shiftwork.contracts.feature import FeatureCategory
from shiftwork.contracts.project import AgentOptions, CategoryOptions
from shiftwork.contracts.session import Role
from shiftwork.errors import InvalidInput
from shiftwork.planning.casting import ROLE_OF

BACKEND = "langchain"

Specification = str | Mapping[str, Any]
"""`provider:model`, an import path (`package.module:name`), or a mapping that JSON can hold."""


def agent_options(
    chat_model: Specification | AgentOptions, tools: Sequence[Specification] = ()
) -> AgentOptions:
    """The agent that works with this chat model and these tools.

    Args:
        chat_model: `provider:model`; an import path of a model, or of what returns one; the settings of the
            backend `langchain`; or, with the key `backend`, any agent at all.
        tools: import paths of LangChain tools, of lists of them, or of what returns either; a mapping with
            `name` and `command` is an MCP server.

    Raises:
        InvalidInput: it is an object, which can't cross processes, or tools are given to another backend.
    """
    check_specification("chat_model", chat_model)
    for index, tool in enumerate(tools):
        check_specification(f"tools[{index}]", tool)
    if isinstance(chat_model, AgentOptions):
        base = chat_model
    elif isinstance(chat_model, str):
        base = AgentOptions(backend=BACKEND, settings=_model(chat_model))
    elif "backend" in chat_model:
        base = _validated(chat_model)
    else:
        base = AgentOptions(backend=BACKEND, settings=dict(chat_model))
    if not tools:
        return base
    if base.backend != BACKEND:
        raise InvalidInput(f"tools need a chat model: the backend {base.backend!r} brings its own.")
    return base.model_copy(update={"settings": _with_tools(base.settings, tools)})


def check_specification(name: str, value: object) -> None:
    """Refuse objects by name: agents run in other processes, on other days."""
    if not isinstance(value, str | Mapping | AgentOptions):
        raise InvalidInput(
            f"{name} is an object of type {type(value).__name__!r}, which can't cross processes; give "
            "'provider:model', an import path ('package.module:name') or a mapping."
        )
    if not value:
        raise InvalidInput(
            f"{name} is empty; give 'provider:model', an import path ('package.module:name') or a mapping."
        )


def _validated(chosen: Mapping[str, Any]) -> AgentOptions:
    try:
        return AgentOptions.model_validate(dict(chosen), extra="forbid")
    except ValidationError as error:
        problem = error.errors()[0]
        raise InvalidInput(f"agent, {'.'.join(map(str, problem['loc']))}: {problem['msg']}.") from error


def _model(text: str) -> dict[str, Any]:
    if text.partition(":")[0] in PROVIDERS:
        return {"model": text}
    return {"chat_model": text, **_found([text])}


def _with_tools(settings: Mapping[str, Any], tools: Sequence[Specification]) -> dict[str, Any]:
    paths = [tool for tool in tools if isinstance(tool, str)]
    servers = dict(settings.get("mcp_servers", {}))
    for tool in tools:
        if isinstance(tool, Mapping):
            facts = dict(tool)
            name = facts.pop("name", None)
            if not name or "command" not in facts:
                raise InvalidInput(
                    "a tool that is a mapping is an MCP server: give its 'name' and 'command'."
                )
            servers[str(name)] = facts
    folders = [*settings.get("python_path", ()), *_found(paths).get("python_path", ())]
    made = {**settings, "tools": [*settings.get("tools", ()), *paths]}
    if servers:
        made["mcp_servers"] = servers
    if folders:
        made["python_path"] = list(dict.fromkeys(folders))
    return made


def _found(paths: Sequence[str]) -> dict[str, Any]:
    """Where the modules of import paths are, if they are not of this environment; nothing is imported."""
    folders = []
    for path in paths:
        top = path.partition(":")[0].partition(".")[0]
        try:
            spec = find_spec(top)
        except (ImportError, ValueError):
            continue  # the worker may know it
        if spec is None or spec.origin is None or not Path(spec.origin).is_file():
            continue
        origin = Path(spec.origin).resolve()
        folder = origin.parent.parent if spec.submodule_search_locations else origin.parent
        ours = (Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve())
        if not any(folder.is_relative_to(each) for each in ours):
            folders.append(str(folder))
    return {"python_path": list(dict.fromkeys(folders))} if folders else {}


@dataclass(frozen=True, slots=True)
class SubAgent:
    """A specialist: a role, and who plays it.

    Attributes:
        chat_model: see `agent_options`; None: whoever plays this role in the project.
        tools: see `agent_options`.
    """

    role: ClassVar[Role] = Role.SESSION

    chat_model: Specification | AgentOptions | None = None
    tools: tuple[Specification, ...] = ()

    def __post_init__(self) -> None:
        """Refuse at once, by `InvalidInput`, what could never play its role."""
        self.options()

    def options(self) -> CategoryOptions:
        """What a project is told of it; raises `InvalidInput`."""
        if self.chat_model is None:
            return CategoryOptions(role=self.role)
        return CategoryOptions(role=self.role, agent=agent_options(self.chat_model, self.tools))


class CodeSubAgent(SubAgent):
    """Builds features."""

    __slots__ = ()
    role = Role.SESSION


class ResearchSubAgent(SubAgent):
    """Builds what joins the project with something outside it; finds out first."""

    __slots__ = ()
    role = Role.RESEARCH


class TestingSubAgent(SubAgent):
    """Builds tests."""

    __slots__ = ()
    __test__ = False  # its name begins as pytest's own do
    role = Role.TESTING


class DocumentationSubAgent(SubAgent):
    """Writes documentation."""

    __slots__ = ()
    role = Role.DOCUMENTATION


_KINDS: Mapping[Role, type[SubAgent]] = {
    kind.role: kind for kind in (CodeSubAgent, ResearchSubAgent, TestingSubAgent, DocumentationSubAgent)
}


def create_sub_agents(
    chat_model: Specification | AgentOptions | None = None, tools: Sequence[Specification] = ()
) -> dict[str, SubAgent]:
    """A specialist for each category of features, all with this model: what `sub_agents` takes.

    Args:
        chat_model, tools: see `agent_options`; None: whoever plays the roles in the project.

    Raises:
        InvalidInput: the model, or a tool, is nothing that can be given to an agent.
    """
    return {
        category.value: _KINDS[ROLE_OF[category]](chat_model, tuple(tools)) for category in FeatureCategory
    }


def category_options(name: str, agent: Specification | AgentOptions | SubAgent) -> CategoryOptions:
    """What a project is told of whoever does a category; raises `InvalidInput`, naming it."""
    if isinstance(agent, SubAgent):
        return agent.options()
    check_specification(name, agent)
    return CategoryOptions(agent=agent_options(agent))
