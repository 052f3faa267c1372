"""The providers of chat models: what they speak, where they are, and what has to be installed for them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from shiftwork.agents.protocol import Wire
from shiftwork.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class ModelProvider:
    """A provider of models.

    Attributes:
        name: what stands before the colon of a model's name.
        wire: what it speaks.
        base_url: where it is.
        keys: the variables that may hold its key, the usual one first.
        module: the package that reaches it, by the name it is imported by.
        install: what `pip install` takes to have that.
        header: what carries the key.
        address: the variable that names another place for it; '' if there is none.
        path: what its package expects after the host of a gateway.
        client: what `init_chat_model` calls the package, if not by the provider's name.
        needs_key: whether it answers nobody without one.
        parameters: what its package has to be given besides.
    """

    name: str
    wire: Wire
    base_url: str
    keys: tuple[str, ...]
    module: str
    install: str
    header: str = "authorization"
    address: str = ""
    path: str = "/v1"
    client: str = ""
    needs_key: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def model(self, name: str) -> str:
        """`provider:model`, as `init_chat_model` takes it."""
        return f"{self.client or self.name}:{name}"


CHAT_PROTOCOL: Final = MappingProxyType({"use_responses_api": False})
"""Only OpenAI itself has the newer protocol for sure."""


def extra(name: str) -> str:
    """How what an extra of ours brings is installed."""
    return f"install the extra {name!r} of Shiftwork, by `pip install -e '.[{name}]'` in its checkout"


def _compatible(name: str, base_url: str, key: str, *, path: str = "/v1") -> ModelProvider:
    """One that speaks OpenAI's chat protocol, with a package of its own."""
    package = f"langchain-{name}"
    return ModelProvider(
        name, "openai", base_url, (key,), package.replace("-", "_"), f"run `pip install {package}`", path=path
    )


_ALL: Final = (
    ModelProvider(
        *("anthropic", "anthropic", "https://api.anthropic.com", ("ANTHROPIC_API_KEY",)),
        *("langchain_anthropic", extra("anthropic"), "x-api-key", "ANTHROPIC_BASE_URL"),
        path="",
    ),
    ModelProvider(
        *("openai", "openai", "https://api.openai.com/v1", ("OPENAI_API_KEY",)),
        *("langchain_openai", extra("openai")),
        address="OPENAI_BASE_URL",
    ),
    ModelProvider(
        *("google_genai", "gemini", "https://generativelanguage.googleapis.com"),
        *(("GOOGLE_API_KEY", "GEMINI_API_KEY"), "langchain_google_genai", extra("google")),
        *("x-goog-api-key", "GOOGLE_GEMINI_BASE_URL"),
        path="",
    ),
    ModelProvider(
        *("ollama", "ollama", "http://127.0.0.1:11434", ("OLLAMA_API_KEY",)),
        *("langchain_ollama", extra("ollama")),
        address="OLLAMA_HOST",
        path="",
        needs_key=False,
    ),
    _compatible("deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    # Its own package asks for paths that no other provider has.
    ModelProvider(
        *("groq", "openai", "https://api.groq.com/openai/v1", ("GROQ_API_KEY",)),
        *("langchain_openai", extra("openai")),
        client="openai",
        parameters=CHAT_PROTOCOL,
    ),
    _compatible("mistralai", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    _compatible("xai", "https://api.x.ai/v1", "XAI_API_KEY"),
    _compatible("together", "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    _compatible("fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", path=""),
    _compatible("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
)
PROVIDERS: Final = MappingProxyType({each.name: each for each in _ALL})
"""By name."""

BY_WIRE: Final[Mapping[str, ModelProvider]] = MappingProxyType(
    {
        each.wire: each
        for each in reversed(_ALL)
        if each.name in ("anthropic", "openai", "google_genai", "ollama")
    }
)
"""Whose package is taken for another server that speaks this."""


def find_provider(model: str) -> tuple[ModelProvider, str]:
    """The provider of `provider:model`, and the model as it knows it.

    Raises:
        InvalidInput: there is no colon, or no such provider.
    """
    name, colon, rest = model.partition(":")
    if colon and rest and name in PROVIDERS:
        return PROVIDERS[name], rest
    known = ", ".join(PROVIDERS)
    if not colon or not rest:
        raise InvalidInput(
            f"Backend 'langchain', setting 'model': {model!r} names no provider; write 'provider:model', "
            f"where the provider is one of {known}."
        )
    raise InvalidInput(
        f"Backend 'langchain', setting 'model': the provider {name!r} is not known; known are {known}. For "
        "any other say in 'provider' which of their protocols it speaks, and in 'base_url' where it is."
    )


def http_address(text: str, provider: ModelProvider) -> str:
    """The address in the provider's variable; `OLLAMA_HOST` may be one to listen at, without a scheme."""
    if provider.wire != "ollama" or "://" in text:
        return text
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit():
        host, port = text, "11434"
    everywhere = host in ("", "0.0.0.0")  # noqa: S104 - compared, not listened at
    return f"http://{'127.0.0.1' if everywhere else host}:{port}"


def as_settings_of(provider: str, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings of the backend `langchain` for somebody who asked for this provider by name alone."""
    model = settings.get("model")
    if not isinstance(model, str) or model.startswith(f"{provider}:") or settings.get("provider"):
        return settings
    return {**settings, "model": f"{provider}:{model}"}
