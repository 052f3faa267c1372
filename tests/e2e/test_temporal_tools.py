"""A person can steer a project from Temporal's own command line alone."""

import asyncio
import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from shiftwork.codec.choose import choose_codec
from shiftwork.codec.gate import Gate
from shiftwork.contracts.project import AgentOptions, ProjectOptions
from shiftwork.stack.file import require_stack, write_stack
from shiftwork.temporal import project_workflow_id
from tests.e2e.lab import Lab, Project
from tests.e2e.support import quick_environment, simple_attempt, simple_feature


@pytest.fixture(autouse=True)
async def gate(lab: Lab) -> AsyncIterator[None]:
    """What decodes for Temporal's command line, as `shiftwork dev` runs it."""
    stack = require_stack(lab.settings)
    async with Gate(choose_codec(lab.settings), stack.temporal_ui) as gate:
        named = replace(stack, codec_endpoint=gate.codec_endpoint, codec_auth=gate.access.authorization)
        write_stack(lab.settings, named)
        yield
        write_stack(lab.settings, stack)


class Tool:
    """`shiftwork temporal`, on one project's workflow."""

    def __init__(self, project: Project) -> None:
        self._env = quick_environment(project.lab.settings.state)
        self._workflow = project_workflow_id(project.id)

    async def __call__(self, *arguments: str, status: int = 0) -> str:
        """Run `temporal workflow …`; what it printed."""
        command = [sys.executable, "-P", "-m", "client", "temporal", "workflow", *arguments]
        command += ["--workflow-id", self._workflow]
        done = await asyncio.to_thread(
            subprocess.run, command, env=self._env, capture_output=True, text=True, check=False, timeout=150
        )
        assert done.returncode == status, done.stderr + done.stdout
        return done.stdout + done.stderr

    async def query(self, name: str) -> Any:
        """The answer of a query."""
        [result] = json.loads(await self("query", "--name", name, "--output", "json"))["queryResult"]
        return result


async def test_a_name_is_no_markup(lab: Lab) -> None:
    """A name from a stranger's specification would put links and pictures into the Web UI."""
    agent = AgentOptions(backend="command", settings={"argv": ["true"]})
    options = ProjectOptions(agent=agent, autorun=False)
    row = await lab.shiftwork.create("![x](http://a.example) <b>", "x", options=options)
    await lab.shiftwork.open(row.id)
    client = await lab.shiftwork.temporal()
    description = await client.get_workflow_handle(project_workflow_id(row.id)).describe()
    summary = await description.static_summary()
    assert summary == r"\!\[x\]\(http:\//a.example\) \<b\>"
    await lab.shiftwork.abandon(row.id)


async def test_signals_take_plain_strings(lab: Lab) -> None:
    """A pause that only our own client can ask for, or a plain word that stops the workflow for ever."""
    gate = lab.folder / "gate"
    waits = {"run": {"command": f"until [ -e {gate} ]; do sleep 0.05; done"}}
    project = await lab.project(
        [simple_feature("a"), simple_feature("b", "a")], {"a": [simple_attempt("a", waits)]}
    )
    tool = Tool(project)
    await project.event("attempt_started")
    await tool("signal", "--name", "pause", "--input", '"lunch"')
    gate.touch()
    assert await project.pauses() == "lunch"
    for useless in ('""', '"   "', json.dumps("x" * 30_000), "17", '{"mode": "sideways"}', "null"):
        await tool("signal", "--name", "steer", "--input", useless)
        await tool("signal", "--name", "pause", "--input", useless)
    await tool("signal", "--name", "steer", "--input", '"Be brief."')
    said = [e.data["text"][:20] for e in await project.events("steer")]
    after = await project.now()
    await tool("signal", "--name", "resume")
    await project.completes(after)
    said = [e.data["text"][:20] for e in await project.events("steer")]
    assert said == ["x" * 20, "Be brief."]


async def test_a_project_can_be_abandoned_with_a_word(lab: Lab) -> None:
    """A reason that is lost because it came as a plain string."""
    project = await lab.project(sessions={"a": [["hang"]]})
    await project.event("attempt_started")
    await Tool(project)("signal", "--name", "abandon", "--input", '"too dear"')
    status = await project.rest()
    assert (status["status"], status["reason"]) == ("abandoned", "too dear")


async def test_updates_answer_and_refuse(lab: Lab) -> None:
    """An update that needs more than a person can type, or refuses without saying why."""
    features = [simple_feature("a", priority=9), simple_feature("b")]
    project = await lab.project(features, {"new": [simple_attempt("new")]}, autorun=False)
    await project.pauses()
    tool = Tool(project)
    answered = json.loads(await tool("update", "execute", "--name", "run_session", "--output", "json"))
    assert answered["result"] == 0
    await lab.shiftwork.wait_session(project.id, 0)
    refused = await tool(
        "update", "execute", "--name", "run_session", "--input", '{"feature": "a"}', status=1
    )
    assert "is not ready for a session: it is passing" in refused
    assert "Traceback" not in refused
    spec = json.dumps({"feature": simple_feature("new", "a")})
    added = json.loads(
        await tool("update", "execute", "--name", "add_feature", "--input", spec, "--output", "json")
    )
    wrong = json.dumps({"feature": {"name": "x", "depends_on": ["ghost"]}})
    refused = await tool("update", "execute", "--name", "add_feature", "--input", wrong, status=1)
    assert "depends on 'ghost', which does not exist" in refused
    refused = await tool("update", "execute", "--name", "add_feature", "--input", '{"feature": {}}', status=1)
    assert "name" in refused
    assert (await project.features())["new"].id == added["result"]
    await tool("update", "execute", "--name", "set_budget", "--input", '{"budget_usd": 3}')
    await tool("signal", "--name", "resume", "--input", '{"autorun": true}')
    await project.event("completed")
    assert await project.statuses() == {"a": "passing", "b": "passing", "new": "passing"}


async def test_what_runs_can_be_read(lab: Lab) -> None:
    """A workflow in Temporal's own tools that says neither what it is nor what it can be asked."""
    hostile = "a [link](https://example.org) <b>| `x` |"
    project = await lab.project(
        [simple_feature("a"), simple_feature(hostile, command="true")], max_sessions=1
    )
    await project.pauses()
    tool = Tool(project)
    status = await tool.query("status")
    assert (status["status"], status["passing_features"], status["total_features"]) == ("paused", 1, 2)
    assert [f["name"] for f in await tool.query("features")] == ["a", hostile]
    row = await lab.shiftwork.find(project.id)
    [metadata] = json.loads(await tool("metadata", "--output", "json"))["queryResult"]
    details = metadata["currentDetails"]
    assert details.startswith(f"## {row.name}")
    assert "1 of 2 features pass" in details
    assert "| ✅ | a | 5 | 0 |" in details
    assert "[link](" not in details
    assert "\\[link\\]" in details
    definition = metadata["definition"]
    described = {
        item["name"]: item.get("description")
        for kind in ("queryDefinitions", "signalDefinitions", "updateDefinitions")
        for item in definition[kind]
        if not item["name"].startswith("__")
    }
    names = {"status", "features", "pause", "resume", "abandon", "steer", "add_feature", "edit_feature"}
    names |= {"run_session", "answer", "revert_to_checkpoint", "set_budget", "add_decision_feedback"}
    assert names <= set(described)
    assert all(described.values())
    listed = await tool("describe", "--output", "json")
    attributes = json.loads(listed)["workflowExecutionInfo"]["searchAttributes"]["indexedFields"]
    assert {"ShiftworkProject", "ShiftworkStatus", "ShiftworkFeaturesPassing"} <= set(attributes)
    await tool("cancel")
    assert (await project.rest())["status"] in ("paused", "abandoned")
    await project.event("abandoned")


def hidden(data: bytes, word: str) -> bool:
    """Whether a word is in there neither as it is nor as base64, at whichever offset."""
    forms = [word.encode(), *(b64encode(b" " * n + word.encode())[4:-4] for n in range(3))]
    return not any(form in data for form in forms)


async def test_the_server_keeps_nothing_that_can_be_read(lab: Lab) -> None:
    """Whoever can read the server's files, or ask its port, would read what people say."""
    word, plain = "CANARY-d41b", "CONTROL-99ac"
    project = await lab.project(
        [simple_feature("a"), simple_feature("b")],
        {"a": [[{"ask": f"{word}?"}], simple_attempt("a")], "b": [[{"exit": 3}]]},
        max_sessions=1,
    )
    await project.pauses()
    tool = Tool(project)
    answer = json.dumps({"feature": "a", "text": word})
    await tool("update", "execute", "--name", "answer", "--input", answer)
    spec = json.dumps({"feature": simple_feature("late", description=word)})
    await tool("update", "execute", "--name", "add_feature", "--input", spec)
    await lab.shiftwork.steer(project.id, word)
    wrong = json.dumps({"feature": {"name": "x", "depends_on": [word]}})
    refused = await tool("update", "execute", "--name", "add_feature", "--input", wrong, status=1)
    assert f"depends on '{word}', which does not exist" in refused
    shown = await tool("show", "--output", "json")
    assert not hidden(shown.encode(), word)
    client = await Client.connect(str(require_stack(lab.settings).temporal_address))
    handle = client.get_workflow_handle(project_workflow_id(project.id))
    await handle.signal("steer", plain)
    after = await project.now()
    await tool("signal", "--name", "abandon", "--input", json.dumps(word))
    assert (await project.rest(after))["reason"] == word
    history = b"".join(event.SerializeToString() for event in (await handle.fetch_history()).events)
    assert b"binary/encrypted" in history
    assert hidden(history, word)
    folder = lab.settings.state / "temporal"
    assert files_with(folder, word) == []
    assert not hidden(history, plain)
    assert files_with(folder, plain)  # or nothing would be found anywhere


def files_with(folder: Path, word: str) -> list[str]:
    """The files of the server that hold a word: its store, what that has not taken in yet, its log."""
    files = [path for path in folder.iterdir() if path.is_file()]
    assert {"temporal.db", "temporal.log"} <= {path.name for path in files}
    return [path.name for path in files if not hidden(path.read_bytes(), word)]


async def test_the_web_ui_can_show_what_is_said_of_a_project(lab: Lab) -> None:
    """The page of a project would be a heap of bytes: its summary and details come to the UI as payloads."""
    project = await lab.project([simple_feature("a")], autorun=False)
    await project.pauses()
    row = await lab.shiftwork.find(project.id)
    described = json.loads(await Tool(project)("describe", "--output", "json"))
    assert described["executionConfig"]["userMetadata"]["summary"] == row.name
    plain = await Client.connect(str(require_stack(lab.settings).temporal_address))
    raw = await plain.get_workflow_handle(project_workflow_id(project.id)).describe()
    summary = raw.raw_description.execution_config.user_metadata.summary
    assert summary.metadata["encoding"] == b"binary/encrypted"
    await lab.shiftwork.abandon(project.id)
