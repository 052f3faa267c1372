"""A person can steer a project from Temporal's own command line alone."""

import asyncio
import json
import os
import subprocess
from typing import Any

from shiftwork.stack.file import require_stack
from shiftwork.stack.temporal_server import temporal_binary
from shiftwork.temporal import project_workflow_id
from tests.e2e.lab import Lab, Project
from tests.e2e.support import simple_attempt, simple_feature


class Tool:
    """The `temporal` program, on one project's workflow."""

    def __init__(self, project: Project) -> None:
        self._address = require_stack(project.lab.settings).temporal_address
        self._workflow = project_workflow_id(project.id)

    async def __call__(self, *arguments: str, status: int = 0) -> str:
        """Run `temporal workflow …`; what it printed."""
        command = [str(temporal_binary()), "workflow", *arguments, "--address", str(self._address)]
        command += ["--workflow-id", self._workflow]
        env = {k: v for k, v in os.environ.items() if not k.startswith("TEMPORAL_")}
        done = await asyncio.to_thread(
            subprocess.run, command, env=env, capture_output=True, text=True, check=False, timeout=30
        )
        assert done.returncode == status, done.stderr + done.stdout
        return done.stdout + done.stderr

    async def query(self, name: str) -> Any:
        """The answer of a query."""
        [result] = json.loads(await self("query", "--name", name, "--output", "json"))["queryResult"]
        return result


async def test_signals_take_plain_strings(lab: Lab) -> None:
    """A pause that only our own client can ask for, or a plain word that stops the workflow for ever."""
    project = await lab.project(
        [simple_feature("a"), simple_feature("b", "a")], {"a": [simple_attempt("a", {"sleep": 0.5})]}
    )
    tool = Tool(project)
    await project.event("attempt_started")
    await tool("signal", "--name", "pause", "--input", '"lunch"')
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
