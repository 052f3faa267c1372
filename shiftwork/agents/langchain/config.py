"""What the harness tells the program: one file in the session's private home."""

from typing import Annotated, Any, Final

from pydantic import Field

from shiftwork.contracts.base import Message
from shiftwork.contracts.session import Role

CONFIG_FILE: Final = "langchain.json"
"""Its name in the home of a session."""

STATE_FILE: Final = "langchain.state"
"""Where the program keeps its conversation, in the same home."""

TOKEN_VARIABLE: Final = "SHIFTWORK_MODEL_TOKEN"  # noqa: S105 - a name, not a value
"""Where the program finds what it shows the gateway in the place of a key."""


CONFIG_VARIABLE: Final = "SHIFTWORK_LANGCHAIN_CONFIG"
"""Outside of sessions, where there is no private home: the content of `CONFIG_FILE`. Nothing is kept
then, and what the agent is to do comes on standard input."""


class ModelConfig(Message):
    """How to make a chat model.

    Attributes:
        name: `provider:model`, as `init_chat_model` takes it; '' where `factory` makes it.
        factory: an import path (`package.module:name`) of a chat model, or of a callable that returns one.
        base_url: where the program reaches its API: the gateway, with the path that this provider's package
            expects; None: what the package takes by itself. Every package that is started here takes it as
            `base_url`, and what `TOKEN_VARIABLE` holds, if that is set, as `api_key`; only Ollama's has the
            latter as a bearer in `client_kwargs["headers"]`.
        parameters: further arguments, as `temperature`.
    """

    name: str = ""
    factory: str | None = None
    base_url: str | None = None
    parameters: dict[str, Any] = {}


class McpServer(Message):
    """An MCP server whose tools the agent gets; started by the program, so in the sandbox with it."""

    command: str
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}


class ProgramConfig(Message):
    """Everything the program is told beside its brief.

    Attributes:
        conversation: its session; the state of another one is not gone on with.
        python_path: folders, as the program sees them, in which import paths are found too.
        tools: import paths of LangChain tools, of lists of them, or of callables that return either.
        max_turns: answers of the model in one run, those of sub-agents included.
        max_tokens: tokens of one run, prompts and answers together; None: no limit.
        context_tokens: from so many tokens on, a conversation is summed up; None: as its profile says.
        max_retries: how often one question is asked again after trouble that passes.
        retry_seconds: the first pause before that; doubled each time.
        longest_wait: seconds that a limit may last for the program to wait it out itself.
        command_timeout: seconds that one shell command may take.
        streaming: whether answers are streamed.
        judged: whether a verifier judges verification steps without a command; else a plan may have none.
        files_lost: whether the conversation goes on without the files that it left.
    """

    model: ModelConfig
    role: Role = Role.SESSION
    conversation: str = ""
    system_prompt: str = ""
    python_path: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    mcp_servers: dict[str, McpServer] = {}
    max_turns: Annotated[int, Field(ge=1)] = 500
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    context_tokens: Annotated[int, Field(ge=1_000)] | None = None
    max_retries: Annotated[int, Field(ge=0)] = 5
    retry_seconds: Annotated[float, Field(gt=0)] = 1.0
    longest_wait: Annotated[float, Field(ge=0)] = 60.0
    command_timeout: Annotated[float, Field(gt=0)] = 600.0
    streaming: bool = True
    judged: bool = False
    files_lost: bool = False
