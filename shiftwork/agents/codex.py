"""OpenAI's Codex CLI (`codex exec --json`)."""

import json
import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from pydantic import Field

from shiftwork.agents.codex_errors import TIME_ZONE
from shiftwork.agents.codex_reader import CodexReader
from shiftwork.agents.codex_rollout import Rollout, find_rollout
from shiftwork.agents.home import PrivateHome
from shiftwork.agents.program import ask_version, find_program
from shiftwork.agents.protocol import AgentCommand, AgentRequest, BackendReport, Provider, Reader, Settings
from shiftwork.agents.settings import BackendSettings
from shiftwork.errors import InvalidInput

_KEYS = ("CODEX_API_KEY", "OPENAI_API_KEY")
_OPENAI = "https://api.openai.com/v1"
_PROVIDER = "shiftwork"
_UNCONFINED = "danger-full-access"
_MODES = ("read-only", "workspace-write", _UNCONFINED)


class CodexSettings(BackendSettings):
    """What a project says about Codex.

    `base_url` is that of a Responses API, `/v1` included; `permission_mode` one of Codex's sandbox modes.

    Attributes:
        max_retries: how often Codex repeats a request, and a broken answer, before it gives up.
    """

    max_retries: int = Field(default=4, ge=0, le=100)


class CodexBackend:
    """Starts Codex in a configuration folder of the session's own.

    Args:
        environ: the worker's environment, where its key and base URL come from; None: the process's own.
    """

    name = "codex"
    can_resume = True
    resumes_elsewhere = True
    conversation_file = None
    interrupt_first = True
    quotes_model = True

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._given_environ = environ

    def check(self, settings: Settings) -> None:
        """See `AgentBackend.check`."""
        self._read(settings)

    def new_conversation(self) -> str | None:
        """None: Codex chooses, and tells with its `started` event."""
        return None

    def provider(self, settings: Settings) -> Provider | None:
        """OpenAI's API, or what stands in for it."""
        read = self._read(settings)
        env = self._environment(read)
        base_url = self._base_url(read, env)
        key = read.referenced() or next((env[name] for name in _KEYS if env.get(name)), "")
        if not key and base_url is None:
            raise InvalidInput(
                "Codex has no key that the gateway can use: set OPENAI_API_KEY for the worker. (A login with "
                "`codex login` works only in a project whose sandbox has the profile 'open'.)"
            )
        return Provider("openai", base_url or _OPENAI, "authorization", key)

    def command(self, request: AgentRequest) -> AgentCommand:
        """Codex, with the prompt on standard input and no secret among its arguments."""
        settings = self._read(request.settings)
        env = self._environment(settings)
        key = next((name for name in _KEYS if env.get(name)), None)
        if request.access is not None:
            key = key or _KEYS[0]
            env |= {key: request.access.token, "OPENAI_BASE_URL": f"{request.access.url}/v1"}
            settings = settings.model_copy(update={"base_url": None})
        kept = {name: value for name, value in env.items() if name not in _KEYS or name == key}
        if request.home is not None:
            kept["CODEX_HOME"] = str(request.seen(self._prepare_home(request.home, login=key is None)))
        options = (
            *self._permissions(settings, request),
            *_config(self._configuration(settings, request, env, key)),
            *settings.arguments,
        )
        return AgentCommand(
            argv=(self._program(settings), "exec", *self._action(request, options), "-"),
            env={**kept, "TZ": TIME_ZONE},
            stdin=request.prompt.encode("utf-8", "replace"),
        )

    def reader(self, request: AgentRequest) -> Reader:
        """See `CodexReader`."""
        settings = self._read(request.settings)
        home = self._codex_home(request)
        return CodexReader(
            lambda thread: Rollout(home, thread),
            conversation=request.conversation,
            model=settings.model or "",
            max_retries=settings.max_retries,
        )

    def diagnose(self, settings: Settings) -> BackendReport:
        """See `AgentBackend.diagnose`."""
        read = self._read(settings)
        program = find_program(self._program(read))
        if program is None:
            wanted = read.program or "codex"
            problem = (
                f"The program {wanted!r} was not found: install it with `npm install -g @openai/codex` or "
                "`pip install openai-codex-cli-bin`, or give its path in the setting 'program'."
            )
            return BackendReport(self.name, problems=(problem,))
        version, broken = ask_version(program)
        problems = (broken, self._missing_login(read))
        told = version.removeprefix("codex-cli ") if version else None
        return BackendReport(self.name, program, told, tuple(text for text in problems if text))

    def _read(self, settings: Settings) -> CodexSettings:
        read = CodexSettings.read(self.name, settings)
        if read.tools:
            raise InvalidInput("Backend 'codex' can't restrict its tools; remove the setting 'tools'.")
        if read.permission_mode not in (None, *_MODES):
            raise InvalidInput(
                f"Backend 'codex', setting 'permission_mode': {read.permission_mode!r} is not known; "
                f"known are: {', '.join(_MODES)}."
            )
        return read

    @property
    def _environ(self) -> Mapping[str, str]:
        return os.environ if self._given_environ is None else self._given_environ

    def _program(self, settings: CodexSettings) -> str:
        if settings.program:
            return find_program(settings.program) or settings.program
        return find_program("codex", self._environ.get("PATH")) or _bundled() or "codex"

    def _environment(self, settings: CodexSettings) -> dict[str, str]:
        """What Codex gets of the worker's environment, and what the project gives."""
        names = (*_KEYS, "CODEX_HOME", *settings.pass_environment)
        passed = {name: self._environ[name] for name in names if name in self._environ}
        return {**passed, **settings.environment}

    def _own_home(self) -> Path:
        given = self._environ.get("CODEX_HOME")
        return Path(given) if given else Path(self._environ.get("HOME") or Path.home()) / ".codex"

    def _codex_home(self, request: AgentRequest) -> Path:
        # Links in the user's own folders are the user's; those in a session's are the agent's.
        return self._own_home().resolve() if request.home is None else request.home / ".codex"

    def _prepare_home(self, home: Path, *, login: bool) -> Path:
        """The session's configuration folder. A login stays the user's: its tokens change with use."""
        folder = PrivateHome(home)
        folder.make(".codex")
        own = self._own_home() / "auth.json"
        if login and own.is_file():
            folder.link(".codex/auth.json", own)
        return folder.root / ".codex"

    def _action(self, request: AgentRequest, options: tuple[str, ...]) -> tuple[str, ...]:
        """Starts anew also when the conversation to go on with was lost with its folder."""
        flags = ("--json", "--skip-git-repo-check", *options)
        talk = request.conversation
        if talk is None or not talk.resumed or find_rollout(self._codex_home(request), talk.id) is None:
            return flags
        return ("resume", *flags, talk.id)

    def _permissions(self, settings: CodexSettings, request: AgentRequest) -> tuple[str, ...]:
        mode = settings.permission_mode
        if mode in (None, _UNCONFINED):
            return ("--dangerously-bypass-approvals-and-sandbox",)
        roots = [str(request.seen(request.outbox))] if request.outbox is not None else []
        return _config(
            {
                "sandbox_mode": _toml(mode or ""),
                "approval_policy": _toml("never"),
                "sandbox_workspace_write.writable_roots": _toml(roots),
            }
        )

    def _configuration(
        self, settings: CodexSettings, request: AgentRequest, env: Mapping[str, str], key: str | None
    ) -> dict[str, str]:
        # The commands that Codex runs need neither its key nor the time zone that only its reader needs.
        zone = settings.environment.get("TZ") or self._environ.get("TZ")
        config = {
            "model_provider": _toml(_PROVIDER),
            f"model_providers.{_PROVIDER}": self._provider(settings, env, key),
            "check_for_update_on_startup": "false",
            "analytics.enabled": "false",
            # What sub-agents spend is told neither in what it prints nor in the conversation's file.
            "features.multi_agent": "false",
            "features.multi_agent_v2": "false",
            "shell_environment_policy.exclude": _toml([*_KEYS, *([] if zone else ["TZ"])]),
        }
        if zone:
            config["shell_environment_policy.set"] = f"{{TZ={_toml(zone)}}}"
        if settings.model:
            config["model"] = _toml(settings.model)
        if request.system_prompt:
            config["developer_instructions"] = _toml(request.system_prompt)
        return config

    def _provider(self, settings: CodexSettings, env: Mapping[str, str], key: str | None) -> str:
        """A provider of our own, because the retries of a built-in one can't be set."""
        base_url = self._base_url(settings, env)
        facts = {
            "name": _toml("OpenAI" if base_url is None else _PROVIDER),
            "wire_api": _toml("responses"),
            "request_max_retries": str(settings.max_retries),
            "stream_max_retries": str(settings.max_retries),
        }
        if key is not None:
            facts |= {"env_key": _toml(key), "base_url": _toml(base_url or _OPENAI)}
        elif base_url is not None:
            facts["base_url"] = _toml(base_url)
        else:
            facts["requires_openai_auth"] = "true"  # the user's login, and its own address
        return "{" + ",".join(f"{name}={value}" for name, value in facts.items()) + "}"

    def _base_url(self, settings: CodexSettings, env: Mapping[str, str]) -> str | None:
        return settings.base_url or env.get("OPENAI_BASE_URL") or self._environ.get("OPENAI_BASE_URL") or None

    def _missing_login(self, settings: CodexSettings) -> str | None:
        env = self._environment(settings)
        if settings.credential or any(env.get(name) for name in _KEYS) or self._base_url(settings, env):
            return None
        if (self._own_home() / "auth.json").is_file():
            return None
        return (
            "Codex has no credentials: set OPENAI_API_KEY for the worker; or, for the profile 'open' alone, "
            "run `codex login` as its user."
        )


def _config(values: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(part for name, value in values.items() for part in ("-c", f"{name}={value}"))


def _toml(value: str | list[str]) -> str:
    """The value as TOML, whose strings and lists of strings are JSON's, but for one control character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _bundled() -> str | None:
    """The program that the Python package `openai-codex-cli-bin` carries."""
    try:
        return str(import_module("codex_cli_bin").bundled_codex_path())
    except (ImportError, FileNotFoundError):
        return None  # not installed, or for another platform
