"""What a project may say about its LangChain agent."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from shiftwork.agents.langchain.config import McpServer
from shiftwork.agents.langchain.providers import (
    BY_WIRE,
    CHAT_PROTOCOL,
    PROVIDERS,
    ModelProvider,
    find_provider,
)
from shiftwork.agents.settings import BackendSettings

_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_UNUSED: Final = ("program", "arguments", "permission_mode")


class LangchainSettings(BackendSettings):
    """Settings of the backend `langchain`.

    Attributes:
        model: `provider:model`; with `provider`, the model as that server names it.
        provider: what the model's API speaks, where it is none of the providers that are known by name, or
            where `chat_model` is to reach its model through the gateway.
        api_key: the worker's variable that holds the key; None: the provider's usual one.
        parameters: further arguments of the model, as `temperature`.
        chat_model: an import path (`package.module:name`) of a chat model, or of what returns one, in the
            place of `model`.
        python_path: folders in which import paths are found, beside Shiftwork's own environment.
        tools: import paths of LangChain tools, of lists of them, or of what returns either.
        mcp_servers: servers whose tools the agent gets, by name; they are started with it, in its sandbox.
        max_turns, max_tokens, context_tokens, max_retries, longest_wait, command_timeout, streaming: see
            `ProgramConfig`; None: as there.
    """

    provider: Literal["anthropic", "openai", "gemini", "ollama"] | None = None
    api_key: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    parameters: dict[str, Any] = {}
    chat_model: str | None = None
    python_path: tuple[str, ...] = ()
    mcp_servers: dict[str, dict[str, Any]] = {}
    max_turns: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    context_tokens: Annotated[int, Field(ge=1_000)] | None = None
    max_retries: Annotated[int, Field(ge=0, le=100)] | None = None
    longest_wait: Annotated[float, Field(ge=0)] | None = None
    command_timeout: Annotated[float, Field(gt=0)] | None = None
    streaming: bool | None = None

    @field_validator("model", "chat_model", mode="before")
    @classmethod
    def _is_text(cls, value: Any) -> Any:
        if isinstance(value, bool | int | float | list | tuple | dict):
            raise ValueError(f"{value!r:.80} is no text: give 'provider:model', such as 'openai:gpt-5'")  # noqa: TRY004 - pydantic wants it
        if value is not None and not isinstance(value, str):
            raise ValueError(_no_object(value))
        return value

    @field_validator("tools", mode="before")
    @classmethod
    def _are_texts(cls, value: Any) -> Any:
        for item in value if isinstance(value, list | tuple) else ():
            if not isinstance(item, str):
                raise ValueError(_no_object(item))  # noqa: TRY004 - pydantic wants it
        return value

    @field_validator("chat_model")
    @classmethod
    def _is_an_import_path(cls, value: str | None) -> str | None:
        if value is not None and not _IMPORT_PATH.fullmatch(value):
            raise ValueError(
                f"{value!r} is neither a model as 'provider:model' (such as 'openai:gpt-5') nor an import "
                "path: write that as 'package.module:name'"
            )
        return value

    @field_validator("tools")
    @classmethod
    def _are_import_paths(cls, value: Any) -> Any:
        for path in value or ():
            if not _IMPORT_PATH.fullmatch(path):
                raise ValueError(f"{path!r} is no import path: write 'package.module:name'")
        return value

    @field_validator("mcp_servers")
    @classmethod
    def _are_servers(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, server in value.items():
            if unknown := next((key for key in server if key not in McpServer.model_fields), None):
                raise ValueError(f"server {name!r} has no {unknown!r}; it has command, args and env")
            try:
                McpServer.model_validate(server)
            except ValidationError as error:
                problem: Any = error.errors()[0]
                raise ValueError(f"server {name!r}, {problem['loc'][0]!r}: {problem['msg']}") from error
        return value

    @field_validator("python_path")
    @classmethod
    def _are_absolute(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for folder in value:
            if not Path(folder).is_absolute():
                raise ValueError(f"{folder!r} has to be an absolute path")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if used := next((name for name in _UNUSED if getattr(self, name)), None):
            raise ValueError(f"there is no use for the setting {used!r}: the program is Shiftwork's own")
        if bool(self.model) == bool(self.chat_model):
            raise ValueError("either 'model' (as 'provider:model') or 'chat_model' has to be given")
        if self.chat_model and self.provider is None and (self.base_url or self.api_key or self.models):
            raise ValueError(
                "base_url, api_key and 'models' need 'provider' beside 'chat_model': it says what the "
                "model's API speaks"
            )
        return self

    @property
    def import_paths(self) -> tuple[str, ...]:
        """Everything that is to be imported."""
        return (*((self.chat_model,) if self.chat_model else ()), *self.tools)

    def chosen(self) -> tuple[ModelProvider | None, str]:
        """Who provides the model, and its name there; None: `chat_model` reaches it in a way of its own.

        Raises:
            InvalidInput: the provider is not known.
        """
        if self.provider is not None:
            return self._stated(self.provider), _bare(self.model or "", self.provider)
        if not self.model:
            return None, ""
        found, name = find_provider(self.model)
        return replace(
            found,
            base_url=self.base_url or found.base_url,
            keys=(self.api_key,) if self.api_key else found.keys,
            address="" if self.base_url else found.address,
        ), name

    def _stated(self, wire: str) -> ModelProvider:
        like = BY_WIRE[wire]
        own = self.base_url is not None
        return replace(
            like,
            base_url=self.base_url or like.base_url,
            keys=(self.api_key,) if self.api_key else like.keys,
            address="" if own else like.address,
            # Servers of one's own often take no key.
            needs_key=like.needs_key and (not own or self.api_key is not None),
            parameters=CHAT_PROTOCOL if own and wire == "openai" else {},
        )


def _bare(model: str, wire: str) -> str:
    """Without a provider that speaks the same in front of it."""
    name, colon, rest = model.partition(":")
    known = PROVIDERS.get(name)
    return rest if colon and known is not None and known.wire == wire else model


def _no_object(value: object) -> str:
    return (
        f"an object ({type(value).__name__}) can't cross processes: give the import path of one, or of what "
        "makes it, as 'package.module:name'"
    )
