"""Specialists as data."""

import pytest

from client import CodeSubAgent, DocumentationSubAgent, ResearchSubAgent, TestingSubAgent, create_sub_agents
from client.harness import LongRunningHarness
from shiftwork.contracts.project import AgentOptions, ProjectOptions
from shiftwork.errors import InvalidInput
from shiftwork.sub_agents import agent_options, category_options


def test_a_name_is_a_model_and_anything_else_an_import_path() -> None:
    """A model's name that is taken for a module would never be found, or the other way round."""
    assert agent_options("openai:gpt-5").settings == {"model": "openai:gpt-5"}
    assert agent_options("mine.models:fast").settings == {"chat_model": "mine.models:fast"}
    settings = {"model": "anthropic:claude", "parameters": {"temperature": 0}}
    assert agent_options(settings) == AgentOptions(backend="langchain", settings=settings)
    assert agent_options({"backend": "codex"}) == AgentOptions(backend="codex")


def test_modules_of_ones_own_are_found_from_elsewhere(tmp_path, monkeypatch) -> None:
    """A confined agent that can't import what its project names would fail at every start."""
    (tmp_path / "my_model_of_tests.py").write_text("raise RuntimeError('nobody may import me here')\n")
    package = tmp_path / "deeper" / "my_tools_of_tests"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError\n")
    monkeypatch.syspath_prepend(str(tmp_path / "deeper"))
    monkeypatch.syspath_prepend(str(tmp_path))
    options = agent_options("my_model_of_tests:make", ["my_tools_of_tests:all", "json:loads"])
    assert options.settings["python_path"] == [str(tmp_path), str(tmp_path / "deeper")]
    assert options.settings["tools"] == ["my_tools_of_tests:all", "json:loads"]


def test_tools_may_be_mcp_servers() -> None:
    """Tools of other programs reach the agent as data."""
    server = {"name": "files", "command": "serve", "args": ["--all"]}
    settings = agent_options("openai:m", [server]).settings
    assert settings["mcp_servers"] == {"files": {"command": "serve", "args": ["--all"]}}


@pytest.mark.parametrize(
    ("model", "tools", "sentence"),
    [
        (object(), (), "chat_model is an object of type 'object'"),
        ("openai:m", [len], r"tools\[0\] is an object of type 'builtin_function_or_method'"),
        ("openai:m", [{"command": "x"}], "give its 'name' and 'command'"),
        ({"backend": "claude"}, ["a:b"], "the backend 'claude' brings its own"),
        ({"backend": "claude", "setings": {}}, (), "setings"),
    ],
)
def test_what_can_not_be_is_refused_by_name(model, tools, sentence) -> None:
    """A mistake must be told where it is made, not days later by an agent."""
    with pytest.raises(InvalidInput, match=sentence):
        agent_options(model, tools)


@pytest.mark.parametrize(
    "model",
    [5, object(), "", {}, CodeSubAgent("openai:m")],
    ids=["a number", "an object", "nothing", "no keys", "a specialist"],
)
def test_specialists_with_what_is_no_model_are_refused_at_once(model) -> None:
    """A mistake would be told when a project is made, far from where it is."""
    with pytest.raises(InvalidInput, match="chat_model is"):
        create_sub_agents(model)
    with pytest.raises(InvalidInput, match="chat_model is"):
        CodeSubAgent(model)
    with pytest.raises(InvalidInput, match=r"tools\[0\] is"):
        create_sub_agents("openai:m", [model])


def test_there_is_one_for_each_category() -> None:
    """A category that nobody was made for would silently be done by somebody else."""
    agents = create_sub_agents("openai:m")
    assert {category: type(agent) for category, agent in agents.items()} == {
        "functional": CodeSubAgent,
        "ui": CodeSubAgent,
        "integration": ResearchSubAgent,
        "testing": TestingSubAgent,
        "documentation": DocumentationSubAgent,
        "performance": CodeSubAgent,
        "security": CodeSubAgent,
    }
    options = category_options("x", agents["testing"])
    assert (options.role, options.agent) == ("testing", agent_options("openai:m"))
    assert category_options("x", CodeSubAgent()).agent is None


async def test_the_harness_gives_them_to_its_projects() -> None:
    """Specialists that are registered and never asked."""
    harness = LongRunningHarness(
        chat_model="openai:m", tools=["a:b"], sub_agents=create_sub_agents("ollama:n")
    )
    harness.register_sub_agent("ui", {"backend": "claude"})
    assert harness._agent == agent_options("openai:m", ["a:b"])
    assert harness._sub_agents["ui"].agent == AgentOptions(backend="claude")
    assert ProjectOptions(categories=harness._sub_agents).categories["integration"].role == "research"
    with pytest.raises(InvalidInput, match="say different things"):
        LongRunningHarness(chat_model="openai:m", agent="claude")
