"""The gemini program as an agent (https://github.com/google-gemini/gemini-cli), run without a terminal."""

import json
import os
from pathlib import Path
from typing import Any, Literal

from shiftwork.agents.gemini_reader import GeminiReader
from shiftwork.agents.home import PrivateHome
from shiftwork.agents.program import ask_version, find_program
from shiftwork.agents.protocol import AgentCommand, AgentRequest, BackendReport, Provider, Reader, Settings
from shiftwork.agents.settings import BackendSettings
from shiftwork.errors import InvalidInput

_INSTALL = "install it with `npm install -g @google/gemini-cli`, or give its path in the setting 'program'"
_KEYS = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
_BASE_URL = "GOOGLE_GEMINI_BASE_URL"
_GOOGLE = "https://generativelanguage.googleapis.com"
_NO_KEY = "There is no key: set the variable 'GEMINI_API_KEY' for the worker."

_SWITCHES = {
    "GEMINI_CLI_TRUST_WORKSPACE": "true",
    # A process that starts itself again is one more to end.
    "GEMINI_CLI_NO_RELAUNCH": "true",
    "NO_COLOR": "1",
}


class GeminiSettings(BackendSettings):
    """What a project says about gemini."""

    permission_mode: Literal["default", "auto_edit", "yolo", "plan"] | None = None


class GeminiBackend:
    """Starts `gemini -o stream-json`, with the prompt on standard input."""

    name = "gemini"
    can_resume = False
    resumes_elsewhere = True
    conversation_file = None
    interrupt_first = False
    quotes_model = True

    def check(self, settings: Settings) -> None:
        """Raise `InvalidInput` if a setting is wrong; the program is looked for when it starts."""
        GeminiSettings.read(self.name, settings)

    def new_conversation(self) -> str | None:
        """None: conversations are not gone on with."""
        return None

    def provider(self, settings: Settings) -> Provider | None:
        """Gemini's API, or what stands in for it."""
        read = GeminiSettings.read(self.name, settings)
        env = _given(read)
        key = read.referenced() or next((env[name] for name in _KEYS if env.get(name)), None)
        if key is None:
            raise InvalidInput(_NO_KEY)
        return Provider("gemini", read.base_url or env.get(_BASE_URL) or _GOOGLE, "x-goog-api-key", key)

    def command(self, request: AgentRequest) -> AgentCommand:
        """The program; in a private home it is told to use an API key, which the environment holds."""
        settings = GeminiSettings.read(self.name, request.settings)
        argv = [settings.program or self.name, "-o", "stream-json"]
        argv += ["--approval-mode", settings.permission_mode or "yolo"]
        if settings.model is not None:
            argv += ["--model", settings.model]
        for folder in (request.brief, request.outbox):
            argv += (
                ["--include-directories", str(request.seen(folder.absolute()))] if folder is not None else []
            )
        if request.home is not None:
            _write_settings(request.home, settings)
        prompt = "\n\n".join(part for part in (request.system_prompt, request.prompt) if part)
        env = _environment(settings, request)
        return AgentCommand((*argv, *settings.arguments), env, prompt.encode())

    def reader(self, request: AgentRequest) -> Reader:  # noqa: ARG002 - part of the protocol
        """What understands this run."""
        return GeminiReader()

    def diagnose(self, settings: Settings) -> BackendReport:
        """Look for the program, its version and a key."""
        read = GeminiSettings.read(self.name, settings)
        wanted = read.program or self.name
        program = find_program(wanted)
        if program is None:
            problem = f"The program {wanted!r} was not found: {_INSTALL}."
            return BackendReport(self.name, problems=(problem,))
        version, broken = ask_version(program)
        problems = [broken] if broken else []
        if not (read.credential or any(_given(read).get(name) for name in _KEYS)):
            problems.append(_NO_KEY)
        return BackendReport(self.name, program, version, tuple(problems))


def _given(settings: GeminiSettings) -> dict[str, str]:
    """What the worker's environment and the settings give, keys included."""
    passed = {*_KEYS, *settings.pass_environment}
    return {name: os.environ[name] for name in passed if name in os.environ} | settings.environment


def _environment(settings: GeminiSettings, request: AgentRequest) -> dict[str, str]:
    env = dict(_SWITCHES)
    if settings.base_url is not None:
        env[_BASE_URL] = settings.base_url
    if request.home is not None:
        env["HOME"] = str(request.seen(request.home.absolute()))
    given = _given(settings)
    if request.access is not None:
        given = {name: value for name, value in given.items() if name not in _KEYS}
        given |= {_KEYS[0]: request.access.token, _BASE_URL: request.access.url}
    return env | given


def _write_settings(home: Path, settings: GeminiSettings) -> None:
    """Without a terminal the program does not choose how to authenticate by itself."""
    content: dict[str, Any] = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"disableAutoUpdate": True, "disableUpdateNag": True},
    }
    if settings.tools:
        content["tools"] = {"core": list(settings.tools)}
    PrivateHome(home).write(".gemini/settings.json", json.dumps(content))
