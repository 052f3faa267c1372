"""The tools before they reach any stack: what a model is told of them, and what they refuse."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_tests.unit_tests import ToolsUnitTests
from pydantic import ValidationError

from client import LONG_RUNNING_TOOLS, long_running_tools
from client.__main__ import main
from client.tools.arguments import CreateProject, ListProjects
from client.tools.feature_results import FeatureLine, NextFeature
from client.tools.results import DecisionLine, Progress, Projects
from client.tools.table import DEFINITIONS
from shiftwork.contracts.feature import FeatureCategory, FeatureStatus, VerificationStep
from shiftwork.settings import Settings
from shiftwork.store.rows import DecisionRow, FeatureRow, ProgressRow
from tests.unit.docs_support import ROOT, table

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BY_NAME = {tool.name: tool for tool in LONG_RUNNING_TOOLS}
PROMISED: dict[str, dict[str, Any]] = {
    "create_long_running_project": {"name": ..., "description": ..., "working_directory": None},
    "initialize_project_features": {"project_id": ...},
    "get_project_status": {"project_id": ...},
    "list_project_features": {"project_id": ..., "status_filter": None},
    "get_project_progress_log": {"project_id": ..., "limit": 20},
    "list_long_running_projects": {"status_filter": None},
    "add_project_feature": {
        "project_id": ...,
        "name": ...,
        "description": ...,
        "category": "functional",
        "priority": 5,
        "verification_steps": None,
    },
    "update_feature_status": {"feature_id": ..., "status": ..., "error": None},
    "log_project_progress": {
        "project_id": ...,
        "action": ...,
        "outcome": ...,
        "files_changed": None,
        "git_commit": False,
    },
    "get_next_feature_to_work_on": {"project_id": ...},
}
"""The tools that are promised by name, with their arguments; `...` has no default."""

EXAMPLES = {
    "create_long_running_project": {"name": "x", "description": "y"},
    "add_project_feature": {
        "project_id": "p",
        "name": "x",
        "description": "y",
        "verification_steps": ["look", {"command": "true"}],
    },
    "update_feature_status": {"feature_id": 1, "status": "blocked"},
    "log_project_progress": {"project_id": "p", "action": "x", "outcome": "y"},
    "list_long_running_projects": {},
    "steer_project": {"project_id": "p", "text": "x"},
    "answer_question": {"project_id": "p", "feature": "x", "text": "y"},
    "record_decision": {"project_id": "p", "context": "x", "decision": "y"},
    "add_decision_feedback": {"decision_id": 1, "outcome": "success"},
    "run_evaluation": {"environment": "maze", "player": "random"},
    "get_evaluation": {"evaluation_id": 1},
}


class Suite(ToolsUnitTests):
    """LangChain's own tests of one tool."""

    name = ""

    @property
    def tool_constructor(self) -> BaseTool:
        return BY_NAME[self.name]

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return EXAMPLES.get(self.name, {"project_id": "p"})


for _definition in DEFINITIONS:
    _suite = f"TestSuite_{_definition.name}"
    globals()[_suite] = type(_suite, (Suite,), {"name": _definition.name})
del Suite  # It is no suite itself.


@pytest.mark.parametrize("name", PROMISED)
def test_the_promised_tools_take_what_is_promised(name: str) -> None:
    """If it failed, a prompt written for the promised tools would call them wrongly."""
    fields = BY_NAME[name].args_schema.model_fields
    taken = {each: ... if field.is_required() else field.default for each, field in fields.items()}
    assert {each: taken[each] for each in PROMISED[name]} == PROMISED[name]
    assert all(default is not ... for each, default in taken.items() if each not in PROMISED[name])


@pytest.mark.parametrize("tool", LONG_RUNNING_TOOLS, ids=lambda tool: tool.name)
def test_a_model_is_told_what_everything_means(tool: BaseTool) -> None:
    """If it failed, a model would have to guess what to give a tool."""
    told = convert_to_openai_tool(tool)["function"]
    assert len(told["description"]) > 30
    for name, argument in told["parameters"].get("properties", {}).items():
        assert argument.get("description"), f"{tool.name}: {name}"


def test_reading_tools_are_those_that_change_nothing() -> None:
    """If it failed, a model that may only look could act."""
    names = {tool.name for tool in long_running_tools(read_only=True)}
    assert names == {
        *("get_project_status", "list_project_features", "get_project_progress_log"),
        *("list_long_running_projects", "get_next_feature_to_work_on", "get_relevant_decisions"),
        *("wait_for_project", "get_project_report", "get_evaluation"),
    }


async def test_without_a_stack_the_answer_is_a_sentence(tmp_path) -> None:
    """If it failed, a model would be shown a traceback where a person forgot to start something."""
    [tool] = [t for t in long_running_tools(Settings(state=tmp_path / "none")) if t.name == "pause_project"]
    call = {"name": tool.name, "args": {"project_id": "p"}, "id": "1", "type": "tool_call"}
    for answer in (await tool.ainvoke(call), tool.invoke(call)):
        assert answer.status == "error"
        assert "shiftwork dev" in answer.content
        assert "\n" not in answer.content


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("get_project_status", {}, "project_id: is missing."),
        ("get_project_status", {"project_id": "p", "projekt": 1}, "projekt: is not known; known are"),
        ("list_project_features", {"project_id": "p", "limit": 101}, "limit"),
        ("list_project_features", {"project_id": "p", "status_filter": "done"}, "status_filter"),
        ("add_decision_feedback", {"decision_id": 1, "outcome": "success", "score": 2}, "score"),
        (
            "run_evaluation",
            {"environment": "os:abort", "player": "random"},
            "environment: must be the name of an installed environment",
        ),
        ("get_project_report", {"project_id": "x", "offset": 10**9}, "offset: must be 100000000 or less"),
        (
            "get_relevant_decisions",
            {"project_id": "x", "tags": ["t"] * 99},
            "tags: must have 20 items at most",
        ),
        (
            "add_project_feature",
            {
                "project_id": "x",
                "name": "n",
                "description": "d",
                "verification_steps": ["it runs", {"command": "x", "expected": "y"}],
            },
            "verification_steps.1.expected: is not known; known are: command, description, expect_output",
        ),
        (
            "add_project_feature",
            {"project_id": "x", "name": "n", "description": "d", "verification_steps": [5]},
            "verification_steps.0: ",
        ),
        *(
            (
                "add_project_feature",
                {
                    "project_id": "x",
                    "name": "n",
                    "description": "d",
                    "verification_steps": [{"command": "x", "expect_status": status}],
                },
                sentence,
            )
            for status, sentence in (
                (300, "verification_steps.0.expect_status: must be 255 or less"),
                (-1, "verification_steps.0.expect_status: must be 0 or more"),
            )
        ),
        ("get_project_report", {"project_id": "x", "offset": True}, "offset: must be a number, not true"),
        ("update_feature_status", {"feature_id": True, "status": "failing"}, "feature_id: must be a number"),
    ],
)
async def test_wrong_arguments_are_named(name: str, given: dict[str, Any], sentence: str) -> None:
    """If it failed, a model could not mend what it called wrongly."""
    call = {"name": name, "args": given, "id": "1", "type": "tool_call"}
    answer = await BY_NAME[name].ainvoke(call)
    assert answer.status == "error"
    assert sentence in answer.content
    assert "\n" not in answer.content


def test_quoted_fields_exist() -> None:
    """If it failed, the notice would name a field that is not there, and leave one that is unmarked."""
    for definition in DEFINITIONS:
        for field in definition.result.agents_wrote:
            assert field.partition("[")[0].partition(".")[0] in definition.result.model_fields, field


def test_what_agents_wrote_is_cut_and_cleaned() -> None:
    """If it failed, one careless agent would fill a model's whole context, or hide text in it."""
    flood = "\u202e\x1b[2J" + "x" * 50_000
    feature = feature_row(description=flood, last_error=flood, depends_on=(flood,) * 200)
    decision = decision_row(context=flood, decision=flood, reasoning=flood, lesson=flood)
    progress = progress_row(action=flood, outcome=flood, files_changed=(flood,) * 1000)
    shown = (FeatureLine.of(feature), DecisionLine.of(decision), Progress.entry(progress))
    for text in (each.model_dump_json() for each in shown):
        assert len(text) < 10_000
        assert "more characters" in text
        assert "202e" not in text
        assert "001b" not in text


def test_a_model_is_shown_what_each_step_must_yield() -> None:
    """If it failed, a model would take a feature for done whose command prints the wrong thing."""
    maze = {"name": "maze", "min_reward": 1, "episodes": 3}
    steps = (
        VerificationStep(command="greet", expect_status=2, expect_output="usage"),
        VerificationStep(command="solve", environment=maze),
    )
    printed, played = NextFeature.steps(feature_row(verification_steps=steps))
    assert (printed.expect_status, printed.expect_output, printed.environment) == (2, "usage", None)
    assert "maze" in (played.environment or "")


def test_pages_say_how_to_get_the_next() -> None:
    """If it failed, a model would take the first features for all."""
    assert Projects.rest(0, 20, 45) == {
        "total": 45,
        "next_offset": 20,
        "more": "25 more; call again with offset=20.",
    }
    assert Projects.rest(40, 5, 45) == {"total": 45}


def test_importing_the_package_imports_no_langchain() -> None:
    """If it failed, every command would pay for what only models' programs use."""
    code = (
        "import sys, client, client.tools.table\n"
        "assert 'LONG_RUNNING_TOOLS' in dir(client)\n"
        "print([m for m in ('langchain_core', 'mcp') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_tool_and_argument_is_documented() -> None:
    """If it failed, a person could not see what a model may do."""
    rows = {row[0]: row[2] for row in table(ROOT / "docs" / "tools.md", "The tools")}
    assert rows == {
        each.name: ", ".join(f"`{name}`" for name in each.arguments.model_fields).strip("`")
        for each in DEFINITIONS
    }


def test_without_its_package_the_server_says_so() -> None:
    """If it failed, a person without the extra would be shown a traceback."""
    code = (
        "import importlib.util, sys\n"
        "from importlib.machinery import PathFinder\n"
        "class Without(PathFinder):\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, *rest):\n"
        "        return None if name == 'mcp' else PathFinder.find_spec(name, *rest)\n"
        "sys.meta_path[:] = [each if each is not PathFinder else Without for each in sys.meta_path]\n"
        "from client.__main__ import main\n"
        "sys.exit(main(['mcp']))\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("error: The package `mcp` is missing: install the extra 'mcp' of Shiftwork.\n")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--agent", "nobody"], "error: Agent backend 'nobody' is not known; known are: acp,"),
        (["--agent", "codex", "--agent-setting", "x=1"], "error: Backend 'codex' has no setting 'x';"),
        (["--model", "m"], "error: The scripted agent needs a cassette"),
    ],
)
def test_an_agent_that_could_never_start_is_refused(argv, sentence, capsys, tmp_path, monkeypatch) -> None:
    """If it failed, the first project that a model makes would tell it what a person typed wrongly."""
    monkeypatch.setenv("SHIFTWORK_STATE", str(tmp_path))
    assert main(["mcp", *argv]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(sentence)


def test_results_are_described_for_clients() -> None:
    """If it failed, a client that validates results would refuse ours."""
    for definition in DEFINITIONS:
        schema = definition.result.model_json_schema(mode="serialization")
        assert schema["type"] == "object"
        json.dumps(schema)


def feature_row(**more: Any) -> FeatureRow:
    """A feature's row."""
    plain = {
        "id": 1,
        "project_id": "p",
        "name": "a",
        "description": "",
        "priority": 5,
        "revision": 1,
        "category": FeatureCategory.UI,
        "status": FeatureStatus.FAILING,
        "attempts": 0,
        "runs": 0,
        **dict.fromkeys(("kept_commit", "candidate", "question", "last_error", "last_failure")),
        "blocked_reason": None,
        "passed_commit": None,
        "waiting": False,
        "depends_on": (),
        "verification_steps": (VerificationStep(description="look"),),
        "created_at": NOW,
        "updated_at": NOW,
    }
    return FeatureRow.model_validate({**plain, **more})


def decision_row(**more: Any) -> DecisionRow:
    """A decision's row."""
    plain = {
        "id": 1,
        "project_id": "p",
        "session_id": None,
        "tags": ("t",),
        "outcome": None,
        "score": None,
        "created_at": NOW,
        "judged_at": None,
    }
    return DecisionRow.model_validate({**plain, **more})


def progress_row(**more: Any) -> ProgressRow:
    """A row of the log."""
    plain = {
        "id": 1,
        "project_id": "p",
        "session_id": None,
        "attempt": 0,
        "sequence": 0,
        "commit": None,
        "tokens": 0,
        "created_at": NOW,
    }
    return ProgressRow.model_validate({**plain, **more})


@pytest.mark.parametrize("given", [True, False])
def test_no_number_is_true_or_false(given):
    """If it failed, a model that says that there is a budget would give a project one of a dollar."""
    with pytest.raises(ValidationError, match="must be a number, not true or false"):
        CreateProject(name="x", description="x", budget_usd=given)
    with pytest.raises(ValidationError, match="must be a number, not true or false"):
        ListProjects(limit=given)
    assert CreateProject(name="x", description="x", budget_usd=None).budget_usd is None  # as models say it


ODD = [
    ("list_project_features", {"limit": "5"}, "limit: must be a number, not text"),
    ("resume_project", {"max_sessions": "1"}, "max_sessions: must be a number, not text"),
    ("pause_project", {"at_once": "yes"}, "at_once: must be true or false"),
    ("pause_project", {"at_once": 1}, "at_once: must be true or false"),
    ("log_project_progress", {"action": "a", "outcome": "b", "git_commit": "on"}, "git_commit: must be true"),
    ("steer_project", {"text": "a\ud800"}, "text: holds half of a character (a lone surrogate), which can't"),
    ("steer_project", {"text": "a\0"}, "text: holds a NUL character, which can't be stored; remove it."),
    ("get_project_status", {"project_id": "a\0"}, "project_id: holds a NUL character"),
    ("record_decision", {"context": "c", "decision": "d", "tags": ["a\0"]}, "tags: holds a NUL character"),
    (
        "add_project_feature",
        {"name": "n", "description": "d", "verification_steps": [{"command": "cat a\0"}]},
        "verification_steps.0.command: holds a NUL character",
    ),
]


@pytest.mark.parametrize(("name", "given", "said"), ODD)
def test_what_is_asked_is_taken_as_it_is_meant_or_not_at_all(name, given, said):
    """If it failed, work would be interrupted that was not to be, or something kept that nobody wrote."""
    answer = BY_NAME[name].invoke(
        {"type": "tool_call", "id": "1", "name": name, "args": {"project_id": "p", **given}}
    )
    assert (answer.status, said in answer.content) == ("error", True), answer.content
