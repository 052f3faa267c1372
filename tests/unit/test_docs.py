"""The documents say what is there, and nothing is there that they don't say."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields

import pytest

from activities import names
from client.cli.exits import MEANINGS, PIPE_CLOSED
from client.telling import _SENTENCES
from shiftwork.contracts.feature import FeatureStatus
from shiftwork.contracts.project import ProjectStatus
from shiftwork.contracts.session import FailureKind, InterruptionReason
from shiftwork.planning.refusing import REFUSED, REJECTED
from shiftwork.settings import Settings, Timings
from shiftwork.temporal import SEARCH_ATTRIBUTES
from tests.unit.docs_support import DOCS, ROOT, anchors, links, table
from workflows.project import ProjectWorkflow

OPERATIONS = ROOT / "docs" / "operations.md"
TEMPORAL = ROOT / "docs" / "temporal.md"
CODE = re.compile(r"`([^`]+)`")


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path):
    """If it failed, a reader would click on a link to nothing."""
    for link in links(path):
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{path.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{path.name}: {link}"


def test_the_index_lists_every_document():
    """If it failed, a document would be there that nobody finds."""
    listed = set(links(ROOT / "docs" / "README.md"))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"} <= listed


def test_no_document_speaks_of_our_machines():
    """If it failed, a path of a developer's machine would be told to everybody."""
    for path in DOCS:
        assert not re.search(r"(?<![\w.])/(?:work|root|home/\w+)/", path.read_text()), path.name


class Recorder(Mapping[str, str]):
    """An environment without variables that knows which were asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def test_every_setting_is_documented_with_its_default():
    """If it failed, a setting would be secret, or its documented default would be wrong."""
    environment = Recorder()
    settings = Settings.from_environment(environment)
    values = {f.name: getattr(settings, f.name) for f in fields(Settings) if f.name != "timings"}
    values |= {f.name: getattr(settings.timings, f.name) for f in fields(Timings)}
    values["state"] = settings.state.name
    documented = {row[0]: row[1] for row in table(OPERATIONS, "Settings")}
    assert set(documented) == environment.asked
    for name, default in documented.items():
        value = values[name.removeprefix("SHIFTWORK_").lower()]
        assert default == ("" if value is None else f"{value:g}" if isinstance(value, float) else str(value))


def test_every_exit_status_is_documented():
    """If it failed, a script could not know what a status means."""
    documented = {int(row[0]) for row in table(OPERATIONS, "Exit statuses")}
    assert documented == {code for code, _ in MEANINGS} | {PIPE_CLOSED}


def event_kinds() -> set[str]:
    """The kinds of events that the code appends, found in its syntax trees."""
    kinds: set[str] = set()
    for folder in ("activities", "workflows", "client", "shiftwork/management"):
        for path in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(path.read_text())
            for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
                kinds |= kinds_of(call, tree, f"{path.name}:{call.lineno}")
    return kinds


def kinds_of(call: ast.Call, tree: ast.Module, where: str) -> set[str]:
    """The kinds that this call may append; none if it appends no event."""
    if not isinstance(call.func, ast.Attribute):
        return set()
    appends = call.func.attr == "append" and ast.unparse(call.func.value).endswith("tx.events")
    if appends:
        kind = call.args[1]
    elif call.func.attr == "event" and ast.unparse(call.func.value).endswith("_ledger"):
        kind = call.args[0]
    elif call.func.attr == "_tell_feature":
        kind = call.args[2]
    else:
        return set()
    match kind:
        case ast.Constant(str(text)):
            return {text}
        case ast.Attribute(attr="value"):
            # A project's status; it is never told that it is initializing.
            return {status.value for status in ProjectStatus} - {"initializing"}
        case ast.Attribute(attr="kind"):
            return set()  # on its way from the workflow, where it was noted
        case ast.Name(name):
            return assigned(name, tree, where)
    raise AssertionError(f"{where}: the kind of this event can't be found")


def assigned(name: str, tree: ast.Module, where: str) -> set[str]:
    """The texts that a variable is given anywhere in this module; a parameter's come from its callers."""
    values = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]
    ]
    texts = {
        constant.value
        for value in values
        for constant in (value.body, value.orelse)
        if isinstance(value, ast.IfExp)
        if isinstance(constant, ast.Constant)
    }
    parameters = {arg.arg for node in ast.walk(tree) if isinstance(node, ast.arguments) for arg in node.args}
    assert texts or name in parameters, f"{where}: the kind of this event can't be found"
    return texts


def test_every_kind_of_event_is_documented():
    """If it failed, somebody who watches would see what no document explains."""
    documented = {row[0] for row in table(OPERATIONS, "Events")}
    assert documented == event_kinds() | set(_SENTENCES)


@pytest.mark.parametrize(
    ("heading", "known"),
    [
        ("States of a project", ProjectStatus),
        ("States of a feature", FeatureStatus),
        ("Why an attempt fails", FailureKind),
        ("Why a session is interrupted", InterruptionReason),
    ],
)
def test_every_state_and_reason_is_documented(heading, known):
    """If it failed, a project could be in a state that nobody can look up."""
    assert [row[0] for row in table(OPERATIONS, heading)] == [item.value for item in known]


def pause_reasons() -> set[str]:
    """The reasons for a pause that the code gives, with `…` for what is filled in."""
    reasons: set[str] = set()
    for path in (*(ROOT / "shiftwork/planning").glob("*.py"), *(ROOT / "workflows").glob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and len(node.args) == 2:
                name = ast.unparse(node.func)
                pauses = name in ("pause", "_pause") or ast.unparse(node.args[0]) == "ProjectStatus.PAUSED"
                reasons |= templates(node.args[1]) if pauses else set()
            elif isinstance(node, ast.FunctionDef) and node.name == "_why_nothing_runs":
                returns = [each.value for each in ast.walk(node) if isinstance(each, ast.Return)]
                reasons |= {text for value in returns if value for text in templates(value)}
    return reasons


def templates(value: ast.expr) -> set[str]:
    """What an expression of literals amounts to; nothing if it is none."""
    match value:
        case ast.Constant(str(text)):
            return {text}
        case ast.JoinedStr(values):
            return {"".join(v.value if isinstance(v, ast.Constant) else "…" for v in values)}
        case ast.BoolOp(values=values):
            return set().union(*map(templates, values))
        case _:
            return set()


def test_every_reason_for_a_pause_is_documented():
    """If it failed, a project would stand still for a reason that nobody can look up."""
    section = OPERATIONS.read_text().partition("## Why a project is paused")[2].partition("\n## ")[0]
    documented = {
        text for row in re.findall(r"^\| (.*?) \|", section, re.MULTILINE) for text in CODE.findall(row)
    }
    assert len(pause_reasons()) > 8
    assert (pause_reasons() | {REFUSED, REJECTED}) - documented == set()


def test_every_message_of_a_project_is_documented():
    """If it failed, the Web UI would offer a message that no document explains."""
    text = TEMPORAL.read_text()
    definition = ProjectWorkflow.__temporal_workflow_definition
    for message in (*definition.signals, *definition.updates, *definition.queries):
        assert f"`{message}`" in text, message


def test_every_search_attribute_is_documented():
    """If it failed, people could not find their projects by all that they can be found by."""
    text = TEMPORAL.read_text()
    for key in SEARCH_ATTRIBUTES:
        assert f"`{key.name}`" in text


def test_every_activity_is_documented():
    """If it failed, a name in the Web UI's history would mean nothing to a newcomer."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    known = {value for name, value in vars(names).items() if name.isupper()}
    assert {name for name in known if f"`{name}`" not in text} == set()


def test_every_room_is_documented():
    """If it failed, a newcomer would not know what a folder is for."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    rooms = [path.parent for path in (ROOT / "shiftwork").glob("*/__init__.py")]
    assert [room.name for room in rooms if f"`shiftwork/{room.name}`" not in text] == []
