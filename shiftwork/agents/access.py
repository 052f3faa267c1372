"""What the environment of a program of the user's own says about its model."""

import os
from typing import Literal, Self

from pydantic import model_validator

from shiftwork.agents.protocol import AgentRequest, ModelAccess, Provider, Wire
from shiftwork.agents.settings import BackendSettings
from shiftwork.errors import InvalidInput

_HEADERS: dict[Wire, str] = {
    "anthropic": "x-api-key",
    "openai": "authorization",
    "gemini": "x-goog-api-key",
}
_BASE_URLS: dict[Wire, str] = {
    "anthropic": "https://api.anthropic.com",
    "openai": "https://api.openai.com/v1",
    "gemini": "https://generativelanguage.googleapis.com",
}
_VARIABLES: dict[Wire, tuple[str, str, str]] = {
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", ""),
    "openai": ("OPENAI_API_KEY", "OPENAI_BASE_URL", "/v1"),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL", ""),
}
"""For each wire the variables that programs read for key and address, and what the address ends in."""


class OwnProgramSettings(BackendSettings):
    """Settings of a backend that runs a program it knows nothing of.

    Attributes:
        provider: the protocol of the model's API, if the program is to reach one through the gateway.
        api_key: the worker's variable that holds the key; None: the protocol's usual one.
    """

    provider: Literal["anthropic", "openai", "gemini"] | None = None
    api_key: str | None = None

    @model_validator(mode="after")
    def _belongs_to_a_provider(self) -> Self:
        if self.provider is None and (self.base_url or self.api_key):
            raise ValueError("base_url and api_key need 'provider', which says what the model's API speaks")
        if self.provider is None and self.models:
            raise ValueError("'models' needs 'provider': no gateway stands between the program and its model")
        return self


def own_provider(backend: str, settings: OwnProgramSettings) -> Provider | None:
    """Where the program's model is, if the settings say that it has one.

    Raises:
        InvalidInput: there is no key.
    """
    wire = settings.provider
    if wire is None:
        return None
    name = settings.api_key or _VARIABLES[wire][0]
    key = settings.referenced() or settings.environment.get(name) or os.environ.get(name)
    if not key:
        raise InvalidInput(f"Backend {backend!r} has no key for its model: set {name} for the worker.")
    return Provider(wire, settings.base_url or _BASE_URLS[wire], _HEADERS[wire], key)


def given_environment(settings: OwnProgramSettings, request: AgentRequest) -> dict[str, str]:
    """What a program's environment gets: its private home, its model, and variables passed on or given."""
    env = {"HOME": str(request.seen(request.home))} if request.home is not None else {}
    env |= {name: os.environ[name] for name in settings.pass_environment if name in os.environ}
    env |= settings.environment
    if settings.provider is not None and request.access is not None:
        env.pop(settings.api_key or "", None)
        env |= _model_variables(settings.provider, request.access)
    return env


def _model_variables(wire: Wire, access: ModelAccess) -> dict[str, str]:
    key, address, path = _VARIABLES[wire]
    return {key: access.token, address: access.url + path}
