"""Agents on any chat model of LangChain, as a process of our own that a project's sandbox confines."""

import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from shiftwork.agents.brief import REQUEST_FILE
from shiftwork.agents.home import PrivateHome
from shiftwork.agents.langchain.config import (
    CONFIG_FILE,
    CONFIG_VARIABLE,
    STATE_FILE,
    TOKEN_VARIABLE,
    ModelConfig,
    ProgramConfig,
)
from shiftwork.agents.langchain.providers import PROVIDERS, ModelProvider, extra, http_address
from shiftwork.agents.langchain.settings import LangchainSettings
from shiftwork.agents.protocol import (
    AgentCommand,
    AgentRequest,
    BackendReport,
    ModelAccess,
    Provider,
    Reader,
    Settings,
)
from shiftwork.agents.scripted import EventLines, own_code
from shiftwork.contracts.base import Message
from shiftwork.contracts.session import Role
from shiftwork.errors import InvalidInput

_PROGRAM: Final = ("-P", "-m", "shiftwork.agents.langchain")
_LIBRARIES: Final = ("langchain", "deepagents")
NO_KEY: Final = "none"
"""For packages that want a key even where the server takes none."""

_SILENCE: Final = {
    "ANONYMIZED_TELEMETRY": "false",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_TRACING": "false",
    "TRANSFORMERS_OFFLINE": "1",
}
"""Libraries tell nobody of what they do, and fetch nothing."""

_PASSED_ON: Final = (
    *("max_turns", "max_tokens", "context_tokens", "max_retries", "longest_wait", "command_timeout"),
    *("streaming", "tools", "mcp_servers"),
)
"""Settings that the program is told as they are, if they are given."""


def is_installed(module: str) -> bool:
    """Whether a package can be imported here; imports nothing."""
    return importlib.util.find_spec(module) is not None


class LangchainBackend:
    """Starts `shiftwork.agents.langchain` with the interpreter, and so the packages, of the worker.

    Args:
        environ: where keys are looked for; None: the worker's own environment.
        installed: tells whether a package is there.
    """

    name = "langchain"
    can_resume = True
    resumes_elsewhere = True
    conversation_file = STATE_FILE
    interrupt_first = False
    quotes_model = False

    def __init__(
        self, environ: Mapping[str, str] | None = None, installed: Callable[[str], bool] = is_installed
    ) -> None:
        self._given = environ
        self._installed = installed

    def check(self, settings: Settings) -> None:
        """Raise `InvalidInput` if these settings can't work, or what they need is not installed."""
        read = LangchainSettings.read(self.name, settings)
        for problem in (*self._missing_packages(read), *_missing_modules(read)):
            raise InvalidInput(f"Backend 'langchain': {problem}")

    def new_conversation(self) -> str | None:
        """A random id; the program takes the one it is given."""
        return str(uuid4())

    def provider(self, settings: Settings) -> Provider | None:
        """Where the model is; None if only `chat_model` knows."""
        read = LangchainSettings.read(self.name, settings)
        chosen, _ = read.chosen()
        if chosen is None:
            return None
        key = self._key(read, chosen)
        if not key and chosen.needs_key:
            raise InvalidInput(
                f"Backend 'langchain' has no key for {chosen.name!r}: set {chosen.keys[0]} for the worker, "
                "or say where it is in 'credential'."
            )
        return Provider(chosen.wire, self._address(read, chosen), chosen.header, key)

    def command(self, request: AgentRequest) -> AgentCommand:
        """The program; what it is told is a file in its home, without any key."""
        read = LangchainSettings.read(self.name, request.settings)
        folders = [Path(folder).resolve() for folder in read.python_path]
        config = self._config(read, request, folders).model_dump_json(exclude_defaults=True)
        env = {**_SILENCE, **self._environment(read, request)}
        if request.home is None:
            env[CONFIG_VARIABLE] = config
        else:
            home = PrivateHome(request.home)
            home.write(CONFIG_FILE, config)
            env = {"HOME": str(request.seen(home.root)), **env}
        return AgentCommand(
            argv=(sys.executable, *_PROGRAM),
            env=env,
            stdin=request.prompt.encode(),
            reads=(own_code(), *folders),
        )

    def here(self, settings: Settings) -> tuple[ModelConfig, str]:
        """How this process makes the model itself, and with which key; '' if it needs none.

        Raises:
            InvalidInput: there is no key where it should be.
        """
        read = LangchainSettings.read(self.name, settings)
        model = self._model(read, None)
        if "api_key" in read.parameters or (provider := self.provider(settings)) is None:
            return model, ""
        return model, provider.credential or ("" if provider.wire == "ollama" else NO_KEY)

    def reader(self, request: AgentRequest) -> Reader:  # noqa: ARG002 - part of the protocol
        """One event a line, as JSON."""
        return EventLines()

    def diagnose(self, settings: Settings) -> BackendReport:
        """Look for the packages and, with settings, for those of the model's provider and for its key."""
        found = [f"{name} {known}" for name in _LIBRARIES if (known := _version(name))]
        problems = self._missing_libraries()
        if settings:
            read = LangchainSettings.read(self.name, settings)
            problems = [*self._missing_packages(read), *_missing_modules(read)]
            try:
                self.provider(settings)
            except InvalidInput as error:
                problems.append(str(error))
        return BackendReport(self.name, sys.executable, ", ".join(found) or None, tuple(problems))

    # What it is told --------------------------------------------------------------------------------------

    def _config(self, read: LangchainSettings, request: AgentRequest, folders: list[Path]) -> ProgramConfig:
        given: dict[str, Any] = {name: getattr(read, name) for name in _PASSED_ON}
        return ProgramConfig(
            model=self._model(read, request.access),
            role=_role(request.brief),
            conversation=request.conversation.id if request.conversation else "",
            system_prompt=request.system_prompt,
            judged=request.judged,
            files_lost=request.files_lost,
            python_path=tuple(str(request.seen(folder)) for folder in folders),
            **{name: value for name, value in given.items() if value is not None},
        )

    def _model(self, read: LangchainSettings, access: ModelAccess | None) -> ModelConfig:
        provider, name = read.chosen()
        if read.chat_model:
            return ModelConfig(factory=read.chat_model, parameters=read.parameters)
        assert provider is not None, "without a factory there is a model, and so its provider"
        return ModelConfig(
            name=provider.model(name),
            base_url=access.url + provider.path if access else self._own_address(read, provider),
            parameters={**provider.parameters, **read.parameters},
        )

    def _own_address(self, read: LangchainSettings, provider: ModelProvider) -> str | None:
        """Where the program finds the provider without a gateway; None: its package knows by itself."""
        known = read.base_url or self._variables(read).get(provider.address) or provider.client
        return self._address(read, provider) if known else None

    def _environment(self, read: LangchainSettings, request: AgentRequest) -> dict[str, str]:
        given = self._variables(read, passed_on=True)
        provider, _ = read.chosen()
        if provider is None:
            return given
        if request.access is not None:
            given = {name: value for name, value in given.items() if name not in provider.keys}
            given[TOKEN_VARIABLE] = request.access.token
            return given | (_usual(provider, request.access) if read.chat_model else {})
        key = self._key(read, provider)
        if not key:
            return given
        # A model by name is made with it; what the agent starts does not see it then.
        return given | {provider.keys[0] if read.chat_model else TOKEN_VARIABLE: key}

    # Keys and addresses -----------------------------------------------------------------------------------

    def _variables(self, read: LangchainSettings, *, passed_on: bool = False) -> dict[str, str]:
        """What the settings and the worker's environment give; `passed_on`: only what is named there."""
        environ = os.environ if self._given is None else self._given
        names = read.pass_environment if passed_on else environ
        return {name: environ[name] for name in names if name in environ} | read.environment

    def _key(self, read: LangchainSettings, provider: ModelProvider) -> str:
        variables = self._variables(read)
        found = (variables[name] for name in provider.keys if variables.get(name))
        return read.referenced() or next(found, "")

    def _address(self, read: LangchainSettings, provider: ModelProvider) -> str:
        named = self._variables(read).get(provider.address)
        return http_address(named, provider) if named else provider.base_url

    # What is missing --------------------------------------------------------------------------------------

    def _missing_libraries(self) -> list[str]:
        if all(map(self._installed, _LIBRARIES)):
            return []
        return [f"LangChain is not installed: {extra('langchain')}."]

    def _missing_packages(self, read: LangchainSettings) -> list[str]:
        provider, _ = read.chosen()
        problems = self._missing_libraries()
        if provider is not None and not read.chat_model and not self._installed(provider.module):
            problems.append(
                f"the package for models of {provider.name!r} is not installed: {provider.install}."
            )
        return problems


def _missing_modules(read: LangchainSettings) -> list[str]:
    problems = [
        f"the folder {folder!r} of its setting 'python_path' does not exist."
        for folder in read.python_path
        if not Path(folder).is_dir()
    ]
    tops = dict.fromkeys(path.partition(":")[0].partition(".")[0] for path in read.import_paths)
    missing = [top for top in tops if not _is_there(top, read.python_path)]
    return problems + [_missing_module(top, read.chat_model or "") for top in missing]


def _missing_module(top: str, chat_model: str) -> str:
    """A misspelt provider looks like a module that is not there: both may be what was meant."""
    said = f"the module {top!r} was not found: name its folder in the setting 'python_path'"
    if chat_model.partition(":")[0] != top:
        return f"{said}."
    known = ", ".join(PROVIDERS)
    return f"{said}; or, if {chat_model!r} is provider:model, no provider is {top!r}: known are {known}."


def _is_there(module: str, folders: tuple[str, ...]) -> bool:
    if PathFinder.find_spec(module, folders) is not None:
        return True
    try:
        return is_installed(module)
    except ValueError:  # this process's own main module
        return False


def _usual(provider: ModelProvider, access: ModelAccess) -> dict[str, str]:
    """Where a model that somebody else makes looks for its provider."""
    path = "/v1" if provider.wire == "openai" else ""
    where = {provider.address: access.url + path} if provider.address else {}
    return {provider.keys[0]: access.token} | where


class _Told(Message):
    """What a brief of any kind says of the role."""

    role: Role = Role.SESSION


def _role(brief: Path | None) -> Role:
    if brief is None:
        return Role.SESSION
    return _Told.model_validate_json((brief / REQUEST_FILE).read_bytes()).role


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
