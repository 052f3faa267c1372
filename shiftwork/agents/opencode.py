"""The opencode program as an agent (https://opencode.ai), one `opencode run` a session."""

import json
import os
from typing import Any, Literal

from shiftwork.agents.home import PrivateHome, is_conversation
from shiftwork.agents.opencode_reader import OpencodeReader
from shiftwork.agents.program import ask_version, find_program
from shiftwork.agents.protocol import (
    AgentCommand,
    AgentRequest,
    BackendReport,
    Provider,
    Reader,
    Settings,
    Wire,
)
from shiftwork.agents.settings import BackendSettings
from shiftwork.errors import InvalidInput

_PROVIDER = "shiftwork"
"""What the provider behind `base_url` is called in the program's configuration."""

_ACCESS = "SHIFTWORK_MODEL_ACCESS"
"""The variable that holds what the gateway takes as a key."""

_PROVIDERS: dict[str, tuple[Wire, str, str, tuple[str, ...]]] = {
    "anthropic": (
        *("anthropic", "https://api.anthropic.com", "x-api-key"),
        ("ANTHROPIC_API_KEY",),
    ),
    "openai": ("openai", "https://api.openai.com/v1", "authorization", ("OPENAI_API_KEY",)),
    "google": (
        *("gemini", "https://generativelanguage.googleapis.com", "x-goog-api-key"),
        ("GOOGLE_GENERATIVE_AI_API_KEY", "GEMINI_API_KEY"),
    ),
}
"""Providers of its own that a gateway can stand in for: wire, address, header, and where their key is."""

_INSTALL = "install it with `npm install -g opencode-ai`, or give its path in the setting 'program'"

_SWITCHES = {
    "OPENCODE_DISABLE_AUTOUPDATE": "1",
    "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    "OPENCODE_DISABLE_TERMINAL_TITLE": "1",
    # An earlier session may have left a configuration that asks for permissions, or is broken.
    "OPENCODE_DISABLE_PROJECT_CONFIG": "1",
    "NO_COLOR": "1",
}

_OFFLINE_SWITCHES = {"OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1"}
"""With a model that is fully described by `base_url`, the program need not ask anybody else."""

_PERMISSIONS = {"write": "edit", "patch": "edit", "apply_patch": "edit", "multiedit": "edit"}
"""Tools whose use is permitted under the name of another."""

# While the program waits for its provider it prints nothing, however long that takes; what its sub-agents
# use up is never printed; a summary of the conversation looks like its last answer; and a program that hangs
# after its work says nothing of that. A plugin hears of all four.
_PLUGIN = """\
const say = (event) => process.stdout.write(JSON.stringify(event) + "\\n");
const idle = new Map();
export const Shiftwork = async () => ({
  event: async ({ event }) => {
    const facts = event.properties;
    if (event.type === "session.status") {
      const sessionID = facts.sessionID;
      clearTimeout(idle.get(sessionID));
      if (facts.status.type === "retry")
        say({ type: "shiftwork_retry", sessionID, status: facts.status });
      // The program prints its last events, and ends, after it says that it is idle.
      if (facts.status.type === "idle")
        idle.set(sessionID, setTimeout(() => say({ type: "shiftwork_idle", sessionID }), 5000));
    }
    if (event.type === "message.updated" && facts.info.role === "assistant" && facts.info.summary)
      say({ type: "shiftwork_summary", sessionID: facts.info.sessionID, messageID: facts.info.id });
    if (event.type === "message.part.updated" && facts.part.type === "step-finish")
      say({ type: "shiftwork_step", sessionID: facts.part.sessionID, part: facts.part });
  },
});
"""


# What the program would fetch from npm into its configuration, for plugins that need it; ours does not.
# It would be 60 MB for each session, and an unattended start would wait for a network that may not be there.
_INSTALLED = {"packages": {"": {"dependencies": {"@opencode-ai/plugin": "*"}}}}


class OpencodeSettings(BackendSettings):
    """What a project says about opencode.

    Attributes:
        model: `provider/model`; with `base_url`, the model as that server names it.
        permission_mode: `ask` is the same as a refusal here, because nobody can answer.
        api_key: name of the variable, in `pass_environment` or `environment`, that holds the key for
            `base_url`; None: the first of them that ends in `_KEY` or `_TOKEN`.
        model_options: what opencode's configuration is to say of the model behind `base_url`, such as
            `{"limit": {"context": 200000, "output": 32000}, "cost": {"input": 3, "output": 15}}`.
    """

    permission_mode: Literal["allow", "ask", "deny"] | None = None
    api_key: str | None = None
    model_options: dict[str, Any] = {}


class OpencodeBackend:
    """Starts `opencode run --format json`, with its whole configuration in the environment."""

    name = "opencode"
    can_resume = True
    # It goes on only in the folder where it began, and is silent in any other.
    resumes_elsewhere = False
    conversation_file = None
    interrupt_first = False
    quotes_model = True

    def check(self, settings: Settings) -> None:
        """Raise `InvalidInput` if the settings don't fit together; the program is looked for at the start."""
        self._read(settings)

    def new_conversation(self) -> str | None:
        """None: the program chooses."""
        return None

    def provider(self, settings: Settings) -> Provider | None:
        """What is behind `base_url`, or the provider that the model names, if a gateway can stand in."""
        read = self._read(settings)
        given, referenced = _given(read), read.referenced()
        if read.base_url is not None:
            key = referenced or given.get(_key_name(read) or "", "")
            return Provider("openai", read.base_url, "authorization", key)
        name = (read.model or "").partition("/")[0]
        if name not in _PROVIDERS:
            known = ", ".join(_PROVIDERS)
            raise InvalidInput(
                f"Backend 'opencode' can't reach the provider {name!r} through the gateway, which knows "
                f"{known}: give the address of its API as 'base_url', or choose the sandbox's profile 'open'."
            )
        wire, base_url, header, keys = _PROVIDERS[name]
        key = referenced or next((given[name] for name in keys if given.get(name)), "")
        if not key:
            raise InvalidInput(
                f"Backend 'opencode' has no key for {name!r}: set {keys[0]} for the worker, and name it in "
                "'pass_environment', or say where it is in 'credential'."
            )
        return Provider(wire, base_url, header, key)

    def command(self, request: AgentRequest) -> AgentCommand:
        """The program; the prompt goes to it on standard input, keys by the names of variables alone."""
        settings = self._read(request.settings)
        # With a title of ours it does not ask the model for one, which it would not report.
        argv = [settings.program or self.name, "run", "--format", "json", "--title", "shiftwork"]
        talk = request.conversation
        if talk is not None and talk.resumed and is_conversation(talk.id):
            argv += ["--session", talk.id]
        if settings.model is not None:
            argv += ["--model", _model_name(settings)]
        prompt = "\n\n".join(part for part in (request.system_prompt, request.prompt) if part)
        return AgentCommand((*argv, *settings.arguments), _environment(settings, request), prompt.encode())

    def reader(self, request: AgentRequest) -> Reader:
        """What understands this run."""
        model = self._read(request.settings).model or ""
        return OpencodeReader(model.partition("/")[2] or model)

    def diagnose(self, settings: Settings) -> BackendReport:
        """Look for the program, its version, a model and the key that the settings name."""
        read = self._read(settings)
        wanted = read.program or self.name
        program = find_program(wanted)
        if program is None:
            problem = f"The program {wanted!r} was not found: {_INSTALL}."
            return BackendReport(self.name, problems=(problem,))
        version, broken = ask_version(program)
        problems = [broken] if broken else []
        missing = [name for name in read.pass_environment if name not in os.environ]
        problems += [f"The variable {name!r} is not set: set it for the worker." for name in missing]
        return BackendReport(self.name, program, version, tuple(problems))

    def _read(self, settings: Settings) -> OpencodeSettings:
        read = OpencodeSettings.read(self.name, settings)
        if read.base_url is not None and not read.model:
            raise InvalidInput("Backend 'opencode' needs the setting 'model' when 'base_url' is set.")
        if read.base_url is None and read.model is not None and "/" not in read.model.strip("/"):
            raise InvalidInput(
                f"Backend 'opencode', setting 'model': {read.model!r} names no provider; "
                "write 'provider/model'."
            )
        if read.api_key is not None and read.api_key not in (*read.pass_environment, *read.environment):
            raise InvalidInput(
                f"Backend 'opencode', setting 'api_key': the variable {read.api_key!r} is not passed on; "
                "name it in 'pass_environment' too."
            )
        return read


def _model_name(settings: OpencodeSettings) -> str:
    return f"{_PROVIDER}/{settings.model}" if settings.base_url else str(settings.model)


def _environment(settings: OpencodeSettings, request: AgentRequest) -> dict[str, str]:
    switches = _SWITCHES | (_OFFLINE_SWITCHES if settings.base_url or request.access else {})
    given = _given(settings)
    if request.access is not None:
        secrets = {_key_name(settings), *(key for *_, keys in _PROVIDERS.values() for key in keys)}
        given = {name: value for name, value in given.items() if name not in secrets}
        given[_ACCESS] = request.access.token
    return {
        **switches,
        **_private_folders(request),
        "OPENCODE_CONFIG_CONTENT": json.dumps(_configuration(settings, request)),
        **given,
    }


def _given(settings: OpencodeSettings) -> dict[str, str]:
    """What the worker's environment and the settings give, keys included."""
    passed = {name: os.environ[name] for name in settings.pass_environment if name in os.environ}
    return passed | settings.environment


def _private_folders(request: AgentRequest) -> dict[str, str]:
    """Where the program keeps what it knows; only there can it have the plugin."""
    if request.home is None:
        return {}
    folders = {"CONFIG": ".config", "DATA": ".local/share", "STATE": ".local/state", "CACHE": ".cache"}
    home = PrivateHome(request.home)
    home.make(".config/opencode/plugin", ".config/opencode/node_modules")
    home.write(".config/opencode/plugin/shiftwork.js", _PLUGIN)
    home.write(".config/opencode/package-lock.json", json.dumps(_INSTALLED))
    seen = request.seen(home.root)
    return {"HOME": str(seen)} | {f"XDG_{name}_HOME": str(seen / path) for name, path in folders.items()}


def _configuration(settings: OpencodeSettings, request: AgentRequest) -> dict[str, Any]:
    config: dict[str, Any] = {
        "permission": _permission(settings),
        "share": "disabled",
        "autoupdate": False,
        # The project's own words to agents, which it loses together with its configuration otherwise.
        "instructions": [str(request.seen(request.workspace.absolute()) / "AGENTS.md")],
    }
    if settings.model is not None:
        config |= {"model": _model_name(settings), "small_model": _model_name(settings)}
    options = _provider_options(settings, request)
    if settings.base_url is not None:
        config["provider"] = {
            _PROVIDER: {
                "npm": "@ai-sdk/openai-compatible",
                "options": options,
                "models": {str(settings.model): settings.model_options},
            }
        }
    elif options:
        config["provider"] = {str(settings.model).partition("/")[0]: {"options": options}}
    return config


def _provider_options(settings: OpencodeSettings, request: AgentRequest) -> dict[str, str]:
    """Where the provider is and what opens it, if that is to be said."""
    if request.access is not None:
        name = "" if settings.base_url else str(settings.model).partition("/")[0]
        path = {"google": "/v1beta"}.get(name, "/v1")
        return {"baseURL": request.access.url + path, "apiKey": f"{{env:{_ACCESS}}}"}
    if settings.base_url is None:
        return {}
    key = _key_name(settings)
    return {"baseURL": settings.base_url} | ({"apiKey": f"{{env:{key}}}"} if key else {})


def _key_name(settings: OpencodeSettings) -> str | None:
    given = (*settings.pass_environment, *settings.environment)
    names = (name for name in given if name.endswith(("_KEY", "_TOKEN")))
    return settings.api_key or next(names, None)


def _permission(settings: OpencodeSettings) -> str | dict[str, str]:
    mode = settings.permission_mode or "allow"
    if not settings.tools:
        return mode
    named = {_PERMISSIONS.get(tool, tool): mode for tool in settings.tools}
    # The brief and the outbox are outside of the workspace.
    return {"*": "deny", "external_directory": "allow", "doom_loop": "allow", **named}
