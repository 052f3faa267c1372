"""A secret that only the worker has, in what people, programs and models write without a worker."""

import base64
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from mcp import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client

from client.api import Shiftwork
from client.control import project_manager
from client.tools import long_running_tools
from shiftwork.contracts.feature import FeatureEdit, FeatureSpec, VerificationStep
from shiftwork.contracts.outbox import Handoff
from shiftwork.contracts.project import AgentOptions, ProjectOptions
from shiftwork.errors import InvalidInput
from shiftwork.project_manager import ProjectManager
from shiftwork.settings import Settings
from shiftwork.stack.dev import DevStack
from shiftwork.stack.file import database_url
from tests.e2e.lab import Lab
from tests.e2e.support import quick_environment, quick_settings, simple_feature, worker_process

CANARY = "canary-7Q2wXz9LmN4rT8vB"
ENCODED = base64.b64encode(f"key: {CANARY}.".encode()).decode()
NAME = "WORKER_API_KEY"
SHOWN = f"[redacted:{NAME}]"
HIDDEN = f"secret '{NAME}'"

CLAUDE = ProjectOptions(agent=AgentOptions(backend="claude"))

IN_PYTHON = """
import sys
from shiftwork.project_manager import SyncProjectManager
with SyncProjectManager() as manager:
    row = manager.record_decision(sys.argv[1], sys.argv[2], "x")
    print(row.context)
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A stack on which a worker that knows the secret was, and a project that waits; nobody works now."""

    shiftwork: Shiftwork
    settings: Settings
    project: str
    decision: int

    @property
    def environment(self) -> dict[str, str]:
        """That of a client's process, which does not hold the secret."""
        return quick_environment(self.settings.state)

    @property
    def manager(self) -> ProjectManager:
        """As programs use it."""
        return project_manager(self.shiftwork)

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """A process of Python that does not know the secret."""
        command = [sys.executable, "-P", *argv]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)

    async def everything(self) -> str:
        """All rows of all tables."""
        connection = await asyncpg.connect(database_url(self.settings))
        try:
            tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            names = [row["tablename"] for row in tables]
            assert {"decisions", "events", "features", "progress", "projects", "secret_fingerprints"} < {
                *names
            }
            told = [await connection.fetch(f'SELECT t::text FROM "{name}" t') for name in names]
        finally:
            await connection.close()
        return "\n".join(row[0] for rows in told for row in rows)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    tmp_path = tmp_path_factory.mktemp("recognised")
    settings, folder = quick_settings(tmp_path / "state"), tmp_path / "work"
    folder.mkdir()
    log = tmp_path / "worker.log"
    async with DevStack(settings), Shiftwork(settings) as shiftwork:
        with worker_process(quick_environment(settings.state, **{NAME: CANARY}), log):
            project = await Lab(shiftwork, settings, folder).project([simple_feature("a")], {}, autorun=False)
            await project.pauses()
            row = await project_manager(shiftwork).record_decision(project.id, "what to use", "sqlite")
        place = Place(shiftwork, settings, project.id, row.id)
        yield place
        everything = await place.everything()
        assert SHOWN in everything
        for form in (CANARY, ENCODED[8:-8], CANARY.encode().hex()):
            assert form not in everything
        for path in (settings.state / "postgres").rglob("*"):
            assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path


async def test_what_programs_keep_is_redacted_and_shown_so(place: Place) -> None:
    """If it failed, the worker's key would lie in rows that a program wrote, and it would not be told."""
    manager, project = place.manager, place.project
    decision = await manager.record_decision(project, f"with {CANARY}", ENCODED, CANARY, tags=[CANARY])
    assert decision.context == f"with {SHOWN}"
    assert (SHOWN in decision.decision, decision.reasoning, decision.tags) == (True, SHOWN, (SHOWN,))
    progress = await manager.log_progress(project, f"used {CANARY}", CANARY.encode().hex(), [f"{CANARY}.py"])
    assert progress.action == f"used {SHOWN}"
    other = await manager.create_project("by hand", CANARY, spec=f"Build it with {CANARY}.")
    assert (other.description, other.spec) == (SHOWN, f"Build it with {SHOWN}.")
    session = await manager.start_session(other.id)
    ended = await manager.end_session(
        session.id, error=f"{CANARY} was refused", handoff=Handoff(summary=f"try {CANARY}")
    )
    assert ended.error == f"{SHOWN} was refused"
    for options in ({"description": CANARY}, {"verification_steps": [f"run {CANARY}"]}, {}):
        name = "b" if options else f"b {CANARY}"
        if "description" in options:
            assert (await manager.add_feature(other.id, name, **options)).description == SHOWN
        else:
            with pytest.raises(InvalidInput, match=HIDDEN):
                await manager.add_feature(other.id, name, **options)
    judged = await manager.update_decision_outcome(place.decision, "failure", lesson=f"not {CANARY}")
    assert judged.lesson == f"not {SHOWN}"


async def test_what_is_sent_is_refused_before_it_is_sent(place: Place) -> None:
    """If it failed, the worker's key would be in what Temporal keeps, and in the specification's row."""
    shiftwork, project = place.shiftwork, place.project
    steps = (VerificationStep(command=f"login {CANARY}"),)
    refusals = {
        "The project's specification would": shiftwork.create("p", f"Build with {CANARY}.", options=CLAUDE),
        "The project's name": shiftwork.create(f"p {CANARY}", "x", options=CLAUDE),
        "The guidance would": shiftwork.steer(project, ENCODED),
        "The lesson would": shiftwork.feedback(place.decision, "failure", lesson=CANARY),
        "The feature 'b' would": shiftwork.add_feature(
            project, FeatureSpec(name="b", verification_steps=steps)
        ),
        "The description of the feature 'a'": shiftwork.edit_feature(
            project, FeatureEdit(feature="a", description=CANARY)
        ),
        "The reason would": shiftwork.abandon(project, CANARY),
        "The answer would": shiftwork.answer(project, "a", CANARY),
        "The note would": shiftwork.checkpoint(project, CANARY),
    }
    before = await place.everything()
    for sentence, refused in refusals.items():
        with pytest.raises(InvalidInput, match=f"^{sentence} .*{HIDDEN}"):
            await refused
    assert await place.everything() == before


async def test_processes_that_know_nothing_are_told(place: Place, tmp_path: Path) -> None:
    """If it failed, a person at a command line would store a key of the worker's."""
    specification = tmp_path / "spec.md"
    specification.write_text(f"# Thing\n\nBuild it with {CANARY}.\n")
    started = place.run("-m", "client", "start", str(specification), "--agent", "claude")
    assert (started.returncode, HIDDEN in started.stderr) == (1, True), started.stderr
    judged = place.run(
        "-m", "client", "feedback", str(place.decision), "failure", "--lesson", f"not {CANARY}"
    )
    assert (judged.returncode, HIDDEN in judged.stderr) == (1, True), judged.stderr
    added = place.run(
        "-m", "client", "add-feature", place.project, "--name", "b", "--verify", f"login {CANARY}"
    )
    assert (added.returncode, HIDDEN in added.stderr) == (1, True), added.stderr
    recorded = place.run("-c", IN_PYTHON, place.project, f"with {CANARY}")
    assert recorded.stdout == f"with {SHOWN}\n", recorded.stderr


TOOLS: dict[str, dict[str, Any]] = {
    "create_long_running_project": {"name": "p", "description": f"Build with {CANARY}.", "agent": "claude"},
    "record_decision": {"context": ENCODED, "decision": "x"},
    "log_project_progress": {"action": f"used {CANARY}", "outcome": "success"},
    "add_project_feature": {"name": "b", "description": CANARY},
    "steer_project": {"text": CANARY},
    "add_decision_feedback": {"outcome": "failure", "lesson": CANARY},
}


async def test_models_are_told(place: Place) -> None:
    """If it failed, a model that repeats a key of the worker's would have it stored, and go on doing so."""
    tools = {tool.name: tool for tool in long_running_tools(place.settings)}
    server = StdioServerParameters(
        command=sys.executable, args=["-P", "-m", "client", "mcp"], env=place.environment
    )
    async with stdio_client(server) as streams, ClientSession(*streams) as session:
        await session.initialize()
        for name, given in TOOLS.items():
            arguments = dict(given)
            if name == "add_decision_feedback":
                arguments["decision_id"] = place.decision
            elif name != "create_long_running_project":
                arguments["project_id"] = place.project
            answer = await tools[name].ainvoke(
                {"name": name, "args": arguments, "id": "1", "type": "tool_call"}
            )
            assert HIDDEN in json.dumps(answer.content), (name, answer.content)
            result = await session.call_tool(name, arguments)
            assert result.isError, name
            assert HIDDEN in str(result.content), name
