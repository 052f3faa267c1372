"""Putting the agent together: the loop, its tools and its sub-agents."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from deepagents.middleware.filesystem import FilesystemMiddleware
from deepagents.middleware.patch_tool_calls import PatchToolCallsMiddleware
from deepagents.middleware.subagents import CompiledSubAgent, SubAgentMiddleware
from deepagents.middleware.unsupported_content import UnsupportedContentMiddleware
from langchain.agents import create_agent
from langchain.agents.middleware import TodoListMiddleware
from langchain.agents.middleware.types import AgentMiddleware, AgentState, hook_config
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from shiftwork.agents.langchain.config import ProgramConfig
from shiftwork.agents.langchain.program.asking import Asker
from shiftwork.agents.langchain.program.calling import CallingMiddleware
from shiftwork.agents.langchain.program.helpers import HELPERS, helper_prompt
from shiftwork.agents.langchain.program.memory import Memory
from shiftwork.agents.langchain.program.saver import StateSaver
from shiftwork.agents.langchain.program.summing import SummingMiddleware
from shiftwork.agents.langchain.program.thinking import ThinkingMiddleware
from shiftwork.agents.langchain.program.voice import Voice
from shiftwork.agents.langchain.program.workspace import Workspace
from shiftwork.contracts.session import Role

Middleware = AgentMiddleware[Any, Any, Any]

_EXECUTE = """\
Run a command by bash (by sh where there is none) in the workspace, without input and without a terminal. You
get its output (standard output and error together; the middle of a long one is left out) and its exit status.
A command has at most {seconds:g} seconds; `timeout` makes it less. What it leaves running in the background
is ended with it."""

_WRITE_FILE = """\
Create a new file, with the folders it needs. A file that is there already, and is not empty, is left as it
is: change it by `edit_file`. To replace all of it, `delete` it, wait for the result, and write it."""

_GLOB = """\
Find files and folders by a pattern. You get their paths from `path`, the folder that is searched; without
one, from the workspace. A folder's path ends in `/`. Put a `path` you gave in front to read one.

`*` is anything within a name, `**` any folders, `?` one character, `[abc]` one of these, `{a,b}` either. A
pattern without `/` is of names at any depth (`*.py` finds `src/app/main.py`); one with `/` is of paths
(`src/**/*.py`); a `/` in front keeps to the folder itself (`/*.py`). Names that begin with a dot are found
only where the pattern has that dot (`.env`, `.github/**/*.yml`), and `**` does not go into such folders:
prefer `*.yml` to `**/*.yml`."""

_GUIDE = """\
Your workspace is {folder}: file tools take absolute paths, or paths from there; commands start there. You
have tools for what you leave for the harness (decisions, progress, your handover{more}): use those, and
write no file into the outbox yourself, whatever the brief says of files there. When your work is done, call
`hand_over`; that ends you."""

_MORE = {"initializer": ", the plan", "verifier": ", the verdict"}


class OverMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Ends the loop once the model has handed over or asked a person; tells it what this run was told."""

    def __init__(self, memory: Memory) -> None:
        super().__init__()
        self._memory = memory

    @hook_config(can_jump_to=["end"])
    async def abefore_model(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any] | None:  # noqa: ARG002
        """See `AgentMiddleware.abefore_model`."""
        if self._memory.over:
            return {"jump_to": "end"}
        prompt = self._memory.take_untold()
        return {"messages": [HumanMessage(prompt)]} if prompt else None


@dataclass(frozen=True)
class Parts:
    """What an agent is made of.

    Attributes:
        timeouts: seconds, by the names of tools that nobody else limits.
        prompts: the project's own, by role.
    """

    config: ProgramConfig
    model: BaseChatModel
    workspace: Workspace
    asker: Asker
    memory: Memory
    voice: Voice
    timeouts: Mapping[str, float]
    prompts: Mapping[Role, str]


def build_agent(
    parts: Parts, tools: Sequence[BaseTool], shared: Sequence[BaseTool]
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The agent; it has all these tools, its sub-agents have only the `shared` ones."""
    return create_agent(
        parts.model,
        [*shared, *tools],
        system_prompt=_system_prompt(parts),
        middleware=[
            OverMiddleware(parts.memory),
            *_around(parts, SubAgentMiddleware(backend=parts.workspace, subagents=_helpers(parts, shared))),
        ],
        checkpointer=StateSaver(parts.memory),
        name="shiftwork",
    )


class _Helper(Runnable[Any, Any]):
    """A sub-agent that is put together when it is called first: most runs call few of them."""

    def __init__(self, make: Callable[[], Runnable[Any, Any]]) -> None:
        self._made = cache(make)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        return self._made().invoke(input, config, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        return await self._made().ainvoke(input, config, **kwargs)


def _helpers(parts: Parts, tools: Sequence[BaseTool]) -> list[CompiledSubAgent]:
    return [
        {
            "name": name,
            "description": description,
            "runnable": _Helper(partial(_helper, parts, tools, name, role)),
        }
        for name, (description, role) in HELPERS.items()
    ]


def _helper(parts: Parts, tools: Sequence[BaseTool], name: str, role: Role | None) -> Runnable[Any, Any]:
    return create_agent(
        parts.model,
        list(tools),
        system_prompt=f"{helper_prompt(role, parts.prompts)}\n\nYour workspace is {parts.workspace.cwd}.",
        middleware=_around(parts),
        name=name,
    )


def _around(parts: Parts, *more: Middleware) -> list[Middleware]:
    """What every agent has, outermost first."""
    files = FilesystemMiddleware(
        backend=parts.workspace,
        # Results are shortened by `calling`; written into files they would end up in the project.
        tool_token_limit_before_evict=None,
        human_message_token_limit_before_evict=None,
        custom_tool_descriptions={
            "execute": _EXECUTE.format(seconds=parts.config.command_timeout),
            "glob": _GLOB,
            "write_file": _WRITE_FILE,
        },
    )
    return [
        TodoListMiddleware(),
        files,
        *more,
        SummingMiddleware(parts.model, parts.asker, parts.config.context_tokens),
        PatchToolCallsMiddleware(),
        UnsupportedContentMiddleware(),
        *_caching(parts.model),
        CallingMiddleware(parts.memory, parts.voice, parts.timeouts),
        ThinkingMiddleware(parts.asker, parts.memory, parts.voice),
    ]


def _caching(model: BaseChatModel) -> list[Middleware]:
    """Anthropic caches prompts only where it is asked to; the package is loaded already if it is needed."""
    if not type(model).__module__.startswith("langchain_anthropic"):
        return []
    from langchain_anthropic.middleware import AnthropicPromptCachingMiddleware  # noqa: PLC0415

    return [AnthropicPromptCachingMiddleware(unsupported_model_behavior="ignore")]


def _system_prompt(parts: Parts) -> str:
    guide = _GUIDE.format(folder=parts.workspace.cwd, more=_MORE.get(parts.config.role, ""))
    return f"{parts.config.system_prompt}\n\n{guide}".strip()
