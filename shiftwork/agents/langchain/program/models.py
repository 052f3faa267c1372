"""Making the chat model that the configuration names, and the parts of it that this program relies on."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

from langchain_core.language_models import BaseChatModel

from shiftwork.agents.events import Problem
from shiftwork.agents.langchain.config import ModelConfig, ProgramConfig
from shiftwork.agents.langchain.program.endings import Troubled
from shiftwork.importing import uncollected

_ANSWER_SECONDS = 600.0
"""How long one answer may take, where a provider's package takes a timeout."""

_OUTPUT_TOKENS = 32_000
"""Of one answer, where Anthropic's package doesn't know the model: its own 4,096 would cut off files."""


def make_model(config: ProgramConfig, token: str) -> BaseChatModel:
    """The chat model; raises `Troubled` if there is none of that name, or its arguments don't fit."""
    with uncollected():
        return model_of(config.model, token, _defaults(_provider(config.model), streaming=config.streaming))


def model_of(
    model: ModelConfig, token: str, defaults: Mapping[str, Any] = MappingProxyType({})
) -> BaseChatModel:
    """The same without the rest of the configuration; `defaults`: arguments that those it has go before."""
    try:
        made = _from_factory(model) if model.factory else _by_name(model, token, defaults)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise Troubled(
            f"The model {model.factory or model.name!r} can't be made: {error}", Problem.INVALID
        ) from error
    if not isinstance(made, BaseChatModel):
        raise Troubled(f"{model.factory!r} is no chat model of LangChain's.", Problem.INVALID)
    return made


def left_out(model: ModelConfig, made: BaseChatModel) -> list[str]:
    """The parameters that the provider's package took and dropped, as it does of some for some models."""
    known = type(made).model_fields
    return [
        name
        for name, given in model.parameters.items()
        if given is not None and name in known and getattr(made, name) is None
    ]


def load_object(path: str) -> Any:
    """What an import path (`package.module:name`) names; raises ImportError or AttributeError."""
    module, _, name = path.partition(":")
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _provider(model: ModelConfig) -> str:
    return model.name.partition(":")[0]


def _by_name(model: ModelConfig, token: str, defaults: Mapping[str, Any]) -> Any:
    from langchain.chat_models import init_chat_model  # noqa: PLC0415 - a factory does without

    provider, arguments = _provider(model), {**defaults, **model.parameters}
    if model.base_url:
        arguments["base_url"] = model.base_url
    if token and provider == "ollama":
        arguments["client_kwargs"] = {"headers": {"authorization": f"Bearer {token}"}}
    elif token:
        arguments["api_key"] = token
    made = init_chat_model(model.name, **arguments)
    if (
        provider == "anthropic"
        and "max_tokens" not in arguments
        and not (made.profile or {}).get("max_output_tokens")
    ):
        made.max_tokens = _OUTPUT_TOKENS
    return made


def _defaults(provider: str, *, streaming: bool) -> dict[str, Any]:
    """Arguments by which a provider's package tells what an answer cost, and leaves retries to `asking`.

    A second layer of them would multiply pauses and costs.
    """
    match provider:
        case "anthropic" | "openai":
            return {
                "max_retries": 0,
                "timeout": _ANSWER_SECONDS,
                "streaming": streaming,
                "stream_usage": True,
            }
        case "google_genai":
            # It counts attempts, not repetitions: 0 would be none at all.
            return {"max_retries": 1, "timeout": _ANSWER_SECONDS, "streaming": streaming}
        case "ollama":
            return {"disable_streaming": not streaming}
        case _:
            return {"max_retries": 0, "streaming": streaming}


def _from_factory(model: ModelConfig) -> Any:
    made = load_object(str(model.factory))
    return made if isinstance(made, BaseChatModel) else made(**model.parameters)
