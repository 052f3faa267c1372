"""Claude Code, Anthropic's coding agent, as a backend: `claude -p` with a stream of JSON events."""

import importlib.util
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from uuid import uuid4

from pydantic import Field

from shiftwork.agents.claude_reader import ClaudeReader
from shiftwork.agents.home import PrivateHome, is_conversation
from shiftwork.agents.program import ask_version, find_program
from shiftwork.agents.protocol import AgentCommand, AgentRequest, BackendReport, Provider, Settings
from shiftwork.agents.settings import BackendSettings
from shiftwork.errors import InvalidInput

_ANTHROPIC = "https://api.anthropic.com"
_API_KEY = "ANTHROPIC_API_KEY"
_BASE_URL = "ANTHROPIC_BASE_URL"
_LOGIN_TOKEN = "CLAUDE_CODE_OAUTH_TOKEN"  # noqa: S105 - the name of a variable
_CREDENTIALS = (_API_KEY, "ANTHROPIC_AUTH_TOKEN", _LOGIN_TOKEN)
_LOGIN = "sk-ant-oat"
"""What the tokens of `claude setup-token` begin with."""

_PROGRAM = "claude"
_INSTALL = (
    "install it (`npm install -g @anthropic-ai/claude-code` or `pip install claude-agent-sdk`), "
    "or name it in the setting 'program'"
)
_UNATTENDED = "bypassPermissions"
"""What lets a session work: what it may touch is the sandbox's business, and nobody is there to be asked."""

_ONLY_LISTED = "dontAsk"
_FOLDER_NAME = 200
"""Longer names of conversation folders end in a checksum of the program's own."""


class ClaudeSettings(BackendSettings):
    """What a project may say about Claude Code.

    Attributes:
        max_retries: how often the program itself tries a request again.
        max_turns: most answers of the model in one session; None: no bound.
    """

    max_retries: Annotated[int, Field(ge=0, le=100)] = 4
    max_turns: Annotated[int, Field(ge=1)] | None = None


class ClaudeBackend:
    """Starts the program `claude`: the one on `PATH`, or the one that `claude_agent_sdk` carries."""

    name = "claude"
    can_resume = True
    resumes_elsewhere = True
    conversation_file = None
    interrupt_first = False
    quotes_model = True

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        """`environ`: where credentials are taken from; None: the worker's own environment."""
        self._given = environ

    def check(self, settings: Settings) -> None:
        """Raise `InvalidInput` if these settings can't work."""
        ClaudeSettings.read(self.name, settings)

    def new_conversation(self) -> str | None:
        """A random id; the program takes the one it is given."""
        return str(uuid4())

    def provider(self, settings: Settings) -> Provider | None:
        """Anthropic's API, or what stands in for it, with the first credential there is."""
        read = ClaudeSettings.read(self.name, settings)
        env = self._given_environment(read)
        base_url = read.base_url or env.get(_BASE_URL) or _ANTHROPIC
        if (given := read.referenced()) is not None:
            login = given.startswith(_LOGIN)
            return Provider("anthropic", base_url, "authorization" if login else "x-api-key", given)
        name = next((name for name in _CREDENTIALS if env.get(name)), None)
        if name is None:
            raise InvalidInput(self._missing_credentials(read) or "Claude Code has no credentials.")
        header = "x-api-key" if name == _API_KEY else "authorization"
        return Provider("anthropic", base_url, header, env[name])

    def command(self, request: AgentRequest) -> AgentCommand:
        """The program; moves the conversation it goes on with to where it looks for it.

        Raises:
            InvalidInput: wrong settings, or no program.
        """
        settings = ClaudeSettings.read(self.name, request.settings)
        program = self._find(settings)
        if program is None:
            raise InvalidInput(f"The program {settings.program or _PROGRAM!r} was not found: {_INSTALL}.")
        argv = (program, "-p", "--output-format", "stream-json", "--verbose")
        return AgentCommand(
            argv=(*argv, *self._conversation(request), *_options(settings, request)),
            env=self._environment(settings, request),
            stdin=request.prompt.encode(),
        )

    def reader(self, request: AgentRequest) -> ClaudeReader:
        """What understands the program's events."""
        return ClaudeReader(request.conversation)

    def diagnose(self, settings: Settings) -> BackendReport:
        """Look for the program, its version, and credentials."""
        read = ClaudeSettings.read(self.name, settings)
        program = self._find(read)
        if program is None:
            wanted = read.program or _PROGRAM
            return BackendReport(self.name, problems=(f"The program {wanted!r} was not found: {_INSTALL}.",))
        version, problem = ask_version(program)
        problems = (problem, self._missing_credentials(read))
        told = version.removesuffix(" (Claude Code)") if version else None
        return BackendReport(self.name, program, told, tuple(filter(None, problems)))

    @property
    def _environ(self) -> Mapping[str, str]:
        return os.environ if self._given is None else self._given

    def _find(self, settings: ClaudeSettings) -> str | None:
        if settings.program is not None:
            return find_program(settings.program, self._environ.get("PATH"))
        return find_program(_PROGRAM, self._environ.get("PATH")) or _bundled()

    def _given_environment(self, settings: ClaudeSettings) -> dict[str, str]:
        """What the worker's environment and the settings give, credentials included."""
        names = (*_chosen(settings), _BASE_URL, *settings.pass_environment)
        passed = {name: self._environ[name] for name in names if name in self._environ}
        return passed | settings.environment

    def _environment(self, settings: ClaudeSettings, request: AgentRequest) -> dict[str, str]:
        given = self._given_environment(settings)
        env = {
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_MAX_RETRIES": str(settings.max_retries),
            "DISABLE_AUTOUPDATER": "1",
            # Without it the program refuses to work unattended as root; it is in our sandbox.
            "IS_SANDBOX": "1",
        }
        if settings.base_url:
            env[_BASE_URL] = settings.base_url
        if request.home is not None:
            home = request.seen(request.home)
            env |= {"HOME": str(home), "CLAUDE_CONFIG_DIR": str(_config_folder(home))}
        if request.access is not None:
            # Under the same name: the program behaves differently with a key and with a login.
            usual = _LOGIN_TOKEN if request.access.header == "authorization" else _API_KEY
            name = next((name for name in _CREDENTIALS if given.get(name)), usual)
            given = {key: value for key, value in given.items() if key not in _CREDENTIALS}
            given |= {name: request.access.token, _BASE_URL: request.access.url}
        return env | given

    def _conversation(self, request: AgentRequest) -> tuple[str, ...]:
        conversation = request.conversation
        if conversation is None or not is_conversation(conversation.id):
            return ()
        if conversation.resumed and self._bring_along(conversation.id, request):
            return ("--resume", conversation.id)
        return ("--session-id", conversation.id)

    def _bring_along(self, conversation: str, request: AgentRequest) -> bool:
        """Whether the conversation is stored; it is moved to the folder that belongs to the workspace.

        The program stores conversations by working folder, and older versions look nowhere else.
        """
        # Links in the user's own folders are the user's; those in a session's are the agent's.
        config = self._own_config().resolve() if request.home is None else _config_folder(request.home)
        home, name = PrivateHome(config), f"{conversation}.jsonl"
        stored = {
            path: changed
            for folder in home.folders("projects")
            if (changed := home.changed(path := f"projects/{folder}/{name}")) is not None
        }
        if not stored:
            return False
        workspace = str(request.seen(request.workspace.resolve()))
        folder = re.sub(r"[^a-zA-Z0-9]", "-", workspace)
        target = f"projects/{folder}/{name}"
        if target not in stored and len(folder) <= _FOLDER_NAME:
            home.move(max(stored, key=lambda path: stored[path]), target)
        return True

    def _own_config(self) -> Path:
        given = self._environ.get("CLAUDE_CONFIG_DIR")
        return Path(given) if given else _config_folder(Path.home())

    def _missing_credentials(self, settings: ClaudeSettings) -> str | None:
        names = _chosen(settings)
        if settings.credential is not None:
            return None
        if any(self._environ.get(name) or settings.environment.get(name) for name in names):
            return None
        if names is not _CREDENTIALS:
            missing = ", ".join(names)
            return f"The worker's environment has none of {missing}: set the one with the credentials."
        return (
            "Claude Code has no credentials: set ANTHROPIC_API_KEY, or CLAUDE_CODE_OAUTH_TOKEN "
            "(made by `claude setup-token`), in the worker's environment."
        )


def _chosen(settings: ClaudeSettings) -> tuple[str, ...]:
    """The credentials that the program may get: those that the project names, else whichever there are."""
    named = (*settings.pass_environment, *settings.environment)
    return tuple(name for name in _CREDENTIALS if name in named) or _CREDENTIALS


def _options(settings: ClaudeSettings, request: AgentRequest) -> tuple[str, ...]:
    mode = settings.permission_mode or (_ONLY_LISTED if settings.tools else _UNATTENDED)
    options = ["--permission-mode", mode]
    if settings.tools:
        options += ["--allowedTools", ",".join(settings.tools)]
    if settings.model:
        options += ["--model", settings.model]
    if settings.max_turns is not None:
        options += ["--max-turns", str(settings.max_turns)]
    if request.guarded:
        # It reads settings anew while it runs; what it executes could write some, with hooks in them.
        options += ["--setting-sources", "", "--strict-mcp-config"]
    if request.system_prompt:
        options += ["--append-system-prompt", request.system_prompt]
    return (*options, *settings.arguments)


def _config_folder(home: Path) -> Path:
    return home / ".claude"


def _bundled() -> str | None:
    spec = importlib.util.find_spec("claude_agent_sdk")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "_bundled" / _PROGRAM
        if os.access(path, os.X_OK):
            return str(path)
    return None
