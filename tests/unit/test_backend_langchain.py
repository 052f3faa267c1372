"""The host's side of LangChain agents: settings, where their models are, and what their program is told."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from shiftwork.agents.brief import BriefRequest, FeatureBrief, ProjectBrief, write_brief
from shiftwork.agents.events import AgentEventKind
from shiftwork.agents.langchain.backend import LangchainBackend
from shiftwork.agents.langchain.config import (
    CONFIG_FILE,
    CONFIG_VARIABLE,
    STATE_FILE,
    TOKEN_VARIABLE,
    ProgramConfig,
)
from shiftwork.agents.langchain.providers import PROVIDERS, http_address
from shiftwork.agents.protocol import AgentRequest, Conversation, ModelAccess, Provider
from shiftwork.agents.registry import find_backend
from shiftwork.contracts.session import Role
from shiftwork.errors import InvalidInput
from shiftwork.runner.config import AgentConfig, ProcessRunnerConfig
from shiftwork.runner.failures import ProviderError
from shiftwork.runner.launch import plan
from shiftwork.sandbox.confinement import Bind

ACCESS = ModelAccess("http://127.0.0.1:8", "token-of-a-session")
KEYS = {
    "OPENAI_API_KEY": "sk-openai",
    "ANTHROPIC_API_KEY": "sk-ant",
    "GEMINI_API_KEY": "g",
    "MINE": "sk-mine",
}


def everything(_module: str) -> bool:
    return True


@pytest.fixture
def backend():
    return LangchainBackend(KEYS, everything)


@pytest.fixture
def folders(tmp_path):
    for name in ("workspace", "home", "brief", "outbox", "mine"):
        (tmp_path / name).mkdir()
    project, feature = ProjectBrief(id="p", name="P"), FeatureBrief(id=1, name="a")
    write_brief(
        tmp_path / "brief", BriefRequest(project=project, role=Role.TESTING, session=1, feature=feature)
    )
    return tmp_path


def request(folders: Path, settings: dict, **more) -> AgentRequest:
    given = {"access": ACCESS, "home": folders / "home", "conversation": Conversation("c-1"), **more}
    return AgentRequest(
        folders / "workspace",
        prompt="do it",
        brief=folders / "brief",
        outbox=folders / "outbox",
        settings=settings,
        **given,
    )


def told(backend, asked: AgentRequest) -> tuple[ProgramConfig, dict[str, str]]:
    command = backend.command(asked)
    return ProgramConfig.model_validate_json((asked.home / CONFIG_FILE).read_text()), dict(command.env)


# What is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "either 'model'"),
        ({"model": "openai:m", "chat_model": "a:b"}, "either 'model'"),
        (
            {"model": "gpt-5"},
            r"'gpt-5' names no provider; write 'provider:model', .*anthropic, openai,.*groq",
        ),
        ({"model": "openai:"}, "names no provider"),
        ({"model": "nobody:m"}, r"'nobody' is not known; known are anthropic, .*'provider'"),
        (
            {"model": print},
            r"setting 'model': an object \(builtin_function_or_method\) can't cross processes",
        ),
        ({"model": 5}, "setting 'model': 5 is no text: give 'provider:model', such as 'openai:gpt-5'"),
        ({"model": ["openai:m"]}, r"setting 'model': \['openai:m'\] is no text"),
        ({"model": "openai:m", "base_url": "ftp://x"}, "setting 'base_url': 'ftp://x' is no address"),
        ({"chat_model": len}, r"setting 'chat_model': an object \(builtin_function_or_method\)"),
        ({"chat_model": "json"}, r"'json' is neither a model as 'provider:model' .* nor an import path"),
        (
            {"chat_model": "opneai:x"},
            r"'opneai' was not found: .*; or, if 'opneai:x' is provider:model, no provider is 'opneai'",
        ),
        ({"model": "openai:m", "tools": [print]}, "setting 'tools': an object"),
        ({"model": "openai:m", "tools": ["x"]}, "'x' is no import path"),
        ({"model": "openai:m", "parameters": {"t": print}}, "setting 'parameters'"),
        ({"model": "openai:m", "parameters": {"t": float("inf")}}, "setting 'parameters'"),
        ({"model": "openai:m", "python_path": ["here"]}, "'here' has to be an absolute path"),
        ({"model": "openai:m", "python_path": ["/not/there"]}, "'/not/there'.*does not exist"),
        ({"model": "openai:m", "tools": ["no_such_module_x.y:z"]}, "'no_such_module_x' was not found"),
        ({"chat_model": "json:loads", "base_url": "http://x"}, "need 'provider'"),
        ({"model": "openai:m", "program": "x"}, "no use for the setting 'program'"),
        ({"model": "openai:m", "temprature": 1}, "no setting 'temprature'; it has: api_key, "),
        ({"model": "openai:m", "max_turns": 0}, "max_turns"),
        (
            {"model": "openai:m", "mcp_servers": {"a": {"args": ["x"]}}},
            r"'mcp_servers': server 'a', 'command': Field req",
        ),
        ({"model": "openai:m", "mcp_servers": {"a": {"url": "x"}}}, "server 'a' has no 'url'"),
    ],
    ids=str,
)
def test_what_can_not_work_is_refused_by_name(settings, sentence):
    """If it failed, a session would begin that can't ask its model anything."""
    given = LangchainBackend(KEYS)
    with pytest.raises(InvalidInput, match=sentence) as refused:
        given.check(settings)
    assert "langchain" in str(refused.value)


def test_a_missing_package_is_named_with_what_installs_it():
    """If it failed, people would read a traceback of an import in a log."""
    for model, install in (
        (
            "openai:m",
            r"the extra 'openai' of Shiftwork, by `pip install -e '.\[openai\]'` in its checkout\.$",
        ),
        ("google_genai:m", r"`pip install -e '.\[google\]'`"),
        ("groq:m", r"`pip install -e '.\[openai\]'`"),
        ("mistralai:m", "run `pip install langchain-mistralai`"),
    ):
        backend = LangchainBackend({}, lambda module: module in ("langchain", "deepagents"))
        with pytest.raises(InvalidInput, match=install):
            backend.check({"model": model})
    with pytest.raises(InvalidInput, match="LangChain is not installed: install the extra 'langchain'"):
        LangchainBackend({}, lambda module: module != "deepagents").check({"model": "openai:m"})


def test_a_persons_modules_are_found_in_their_folder(backend, tmp_path):
    """If it failed, tools of one's own could not be named."""
    (tmp_path / "my_own_tools.py").write_text("raise RuntimeError('imported')")
    LangchainBackend(KEYS).check(
        {"model": "openai:m", "tools": ["my_own_tools:all"], "python_path": [str(tmp_path)]}
    )


def test_the_servers_that_it_looks_up_are_not_imported():
    """If it failed, every command would take a second longer: a worker's side needs no LangChain."""
    code = (
        "import sys; from shiftwork.agents.registry import find_backend as f; b = f('langchain');"
        "b.check({'model': 'openai:m', 'tools': ['langchain_core.tools:tool']}); b.diagnose({});"
        "sys.exit(any(m.partition('.')[0] in ('langchain', 'langchain_core', 'langchain_openai') "
        "for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0


# Where the model is ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "provider"),
    [
        ({"model": "openai:m"}, ("openai", "https://api.openai.com/v1", "authorization", "sk-openai")),
        ({"model": "anthropic:m"}, ("anthropic", "https://api.anthropic.com", "x-api-key", "sk-ant")),
        (
            {"model": "google_genai:m"},
            ("gemini", "https://generativelanguage.googleapis.com", "x-goog-api-key", "g"),
        ),
        ({"model": "ollama:m:7b"}, ("ollama", "http://127.0.0.1:11434", "authorization", "")),
        (
            {"model": "groq:m", "credential": "env:MINE"},
            ("openai", "https://api.groq.com/openai/v1", "authorization", "sk-ref"),
        ),
        (
            {"model": "openai:m", "base_url": "http://lab/v1", "api_key": "MINE"},
            ("openai", "http://lab/v1", "authorization", "sk-mine"),
        ),
        (
            {"model": "qwen2.5:7b", "provider": "openai", "base_url": "http://lab/v1", "environment": {}},
            ("openai", "http://lab/v1", "authorization", "sk-openai"),
        ),
        (
            {"chat_model": "json:loads", "provider": "anthropic"},
            ("anthropic", "https://api.anthropic.com", "x-api-key", "sk-ant"),
        ),
    ],
    ids=str,
)
def test_where_the_gateway_finds_the_model(backend, settings, provider, monkeypatch):
    """If it failed, questions would go to another provider, or without the key."""
    monkeypatch.setenv("MINE", "sk-ref")  # a reference is resolved in the worker's environment
    assert backend.provider(settings) == Provider(*provider)


def test_a_model_that_only_its_maker_knows_has_no_gateway(backend):
    """If it failed, a model that runs in the process itself would be refused."""
    assert backend.provider({"chat_model": "json:loads"}) is None


def test_a_missing_key_is_named(backend):
    """If it failed, the first question would fail, and not say what is missing."""
    with pytest.raises(InvalidInput, match=r"no key for 'deepseek': set DEEPSEEK_API_KEY for the worker"):
        backend.provider({"model": "deepseek:m"})
    bare = LangchainBackend({}, everything)
    assert bare.provider({"model": "m", "provider": "openai", "base_url": "http://lab/v1"}).credential == ""
    with pytest.raises(InvalidInput, match="set MINE"):
        bare.provider({"model": "m", "provider": "openai", "base_url": "http://lab/v1", "api_key": "MINE"})


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("gpu:1234", "http://gpu:1234"),
        (":80", "http://127.0.0.1:80"),
        ("https://gpu/ollama", "https://gpu/ollama"),
    ],
)
def test_ollamas_variable_says_where_it_is(given, meant):
    """If it failed, the variable that makes Ollama listen would lead nowhere."""
    assert http_address(given, PROVIDERS["ollama"]) == meant


# What the program is told ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"model": "openai:m", "parameters": {"temperature": 0}}, ("openai:m", "/v1", {"temperature": 0})),
        ({"model": "anthropic:m"}, ("anthropic:m", "", {})),
        ({"model": "ollama:q:7b"}, ("ollama:q:7b", "", {})),
        (
            {"model": "groq:m", "environment": {"GROQ_API_KEY": "sk-groq"}},
            ("openai:m", "/v1", {"use_responses_api": False}),
        ),
        (
            {"model": "q:7b", "provider": "openai", "base_url": "http://lab/v1"},
            ("openai:q:7b", "/v1", {"use_responses_api": False}),
        ),
        ({"model": "gemini-x", "provider": "gemini"}, ("google_genai:gemini-x", "", {})),
        ({"model": "google_genai:g", "provider": "gemini"}, ("google_genai:g", "", {})),
    ],
    ids=str,
)
def test_a_model_is_reached_through_the_gateway(backend, folders, settings, expected):
    """If it failed, the program would ask for a path that the gateway does not forward, or hold a key."""
    config, env = told(backend, request(folders, settings))
    name, path, parameters = expected
    assert (config.model.name, config.model.base_url) == (name, ACCESS.url + path)
    assert config.model.parameters == parameters
    assert env[TOKEN_VARIABLE] == ACCESS.token
    everywhere = json.dumps(env) + (folders / "home" / CONFIG_FILE).read_text()
    assert not any(key in everywhere for key in ("sk-openai", "sk-ant", "sk-mine", "sk-groq"))


def test_everything_that_it_is_told(backend, folders):
    """If it failed, a setting would be taken and do nothing."""
    limits = {"max_turns": 7, "max_tokens": 9, "context_tokens": 5000, "max_retries": 0}
    further = {"longest_wait": 0.0, "command_timeout": 3.5, "streaming": False, "tools": ["json:loads"]}
    settings = {
        "model": "openai:m",
        **limits,
        **further,
        "mcp_servers": {"a": {"command": "x", "args": ["y"]}},
        "python_path": [str(folders / "mine")],
        "environment": {"PLAIN": "1", "OPENAI_API_KEY": "sk-by-value"},
        "pass_environment": ["OPENAI_API_KEY"],
    }
    binds = (Bind(folders / "home", Path("/home/agent"), writable=True),)
    asked = request(folders, settings, binds=binds, system_prompt="be kind", judged=True)
    command = backend.command(asked)
    config = ProgramConfig.model_validate_json((folders / "home" / CONFIG_FILE).read_text())
    assert {name: getattr(config, name) for name in limits} == limits
    assert (config.longest_wait, config.command_timeout, config.streaming) == (0.0, 3.5, False)
    assert config.judged
    assert (config.tools, config.mcp_servers["a"].args) == (("json:loads",), ("y",))
    assert (config.role, config.conversation, config.system_prompt) == (Role.TESTING, "c-1", "be kind")
    assert config.python_path == (str((folders / "mine").resolve()),)
    assert command.argv == (sys.executable, "-P", "-m", "shiftwork.agents.langchain")
    assert (command.stdin, command.reads[1]) == (b"do it", (folders / "mine").resolve())
    assert (command.env["HOME"], command.env["PLAIN"]) == ("/home/agent", "1")
    assert command.env["LANGSMITH_TRACING"] == command.env["LANGCHAIN_TRACING_V2"] == "false"
    assert "OPENAI_API_KEY" not in command.env


def test_a_model_of_ones_own_finds_the_gateway_in_the_usual_variables(backend, folders):
    """If it failed, a factory would reach nothing from its sandbox."""
    config, env = told(backend, request(folders, {"chat_model": "a.b:c", "provider": "openai"}))
    assert (config.model.factory, config.model.name, config.model.base_url) == ("a.b:c", "", None)
    assert env["OPENAI_BASE_URL"] == ACCESS.url + "/v1"
    assert env["OPENAI_API_KEY"] == env[TOKEN_VARIABLE] == ACCESS.token


def test_without_a_gateway_it_has_the_key_itself(backend, folders):
    """If it failed, agents in the profile open could ask nothing."""
    config, env = told(backend, request(folders, {"model": "openai:m"}, access=None))
    assert (config.model.base_url, env[TOKEN_VARIABLE]) == (None, "sk-openai")
    assert "OPENAI_API_KEY" not in env
    config, env = told(backend, request(folders, {"chat_model": "a:b", "provider": "openai"}, access=None))
    assert (env["OPENAI_API_KEY"], TOKEN_VARIABLE in env) == ("sk-openai", False)
    given = {"model": "openai:m", "base_url": "http://lab/v1", "api_key": "MINE"}
    config, env = told(backend, request(folders, given, access=None))
    assert (config.model.base_url, env[TOKEN_VARIABLE]) == ("http://lab/v1", "sk-mine")
    assert "sk-openai" not in env.values()
    groq = {"model": "groq:m", "environment": {"GROQ_API_KEY": "sk-groq"}}
    config, env = told(backend, request(folders, groq, access=None))
    assert (config.model.base_url, env[TOKEN_VARIABLE]) == ("https://api.groq.com/openai/v1", "sk-groq")


def test_a_link_in_the_place_of_its_configuration_is_not_followed(backend, folders):
    """If it failed, an agent could have the harness write to any file of its user."""
    target = folders / "precious"
    target.write_text("mine")
    (folders / "home" / CONFIG_FILE).symlink_to(target)
    backend.command(request(folders, {"model": "openai:m"}))
    assert target.read_text() == "mine"


def test_it_can_be_gone_on_with_and_speaks_events(backend, folders):
    """If it failed, a crash would cost the whole session."""
    assert (backend.can_resume, backend.resumes_elsewhere, backend.conversation_file) == (
        True,
        True,
        STATE_FILE,
    )
    assert backend.new_conversation() != backend.new_conversation()
    reader = backend.reader(request(folders, {"model": "openai:m"}))
    [event] = reader.read(b'{"kind": "saved", "data": {"file": "langchain.state"}}')
    assert event.kind is AgentEventKind.SAVED


# Doctor and runner ----------------------------------------------------------------------------------------


def test_doctor_says_what_is_missing(backend):
    """If it failed, nobody would find out before the first session."""
    report = backend.diagnose({})
    assert report.usable
    assert report.program == sys.executable
    assert report.version.startswith("langchain 1.")
    missing = LangchainBackend({}, lambda module: module != "langchain_mistralai").diagnose(
        {"model": "mistralai:m"}
    )
    assert [problem.partition(":")[0] for problem in missing.problems] == [
        "the package for models of 'mistralai' is not installed",
        "Backend 'langchain' has no key for 'mistralai'",
    ]
    assert (
        "the extra 'langchain' of Shiftwork" in LangchainBackend({}, lambda _: False).diagnose({}).problems[0]
    )


@pytest.mark.parametrize("name", ["openai", "ollama"])
def test_a_provider_of_models_leads_to_its_agent(name, tmp_path):
    """If it failed, `model_backend="openai"` would be refused, or start a program of that name."""
    config = ProcessRunnerConfig(working_dir=str(tmp_path), settings={name: {"model": "m"}})
    planned = plan(AgentConfig(name="a", model_backend=name, task="go", system_prompt="be"), config)
    assert planned.program.argv[1:] == ("-P", "-m", "shiftwork.agents.langchain")
    assert planned.stdin == b"go"
    told = ProgramConfig.model_validate_json(planned.program.env[CONFIG_VARIABLE])
    assert (told.model.name, told.system_prompt) == (f"{name}:m", "be")
    with pytest.raises(ProviderError, match="either 'model'"):
        plan(
            AgentConfig(name="a", model_backend=name, task="go"),
            ProcessRunnerConfig(working_dir=str(tmp_path)),
        )


def test_it_is_registered():
    """If it failed, no project could name it."""
    assert isinstance(find_backend("langchain"), LangchainBackend)
