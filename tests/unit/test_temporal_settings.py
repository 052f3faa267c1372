"""Names, search attributes, payloads and the connection, without a server."""

import subprocess
import sys

import pytest
from pydantic import BaseModel
from temporalio.worker import UnsandboxedWorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from shiftwork.contracts.project import ProjectOptions
from shiftwork.errors import InvalidInput, StackError
from shiftwork.settings import Settings
from shiftwork.temporal import (
    SEARCH_ATTRIBUTES,
    CompactPayloadConverter,
    connect,
    plugin,
    project_workflow_id,
    search_attribute_types,
    session_workflow_id,
)


class State(BaseModel):
    options: ProjectOptions = ProjectOptions()
    finished: list[int] = []
    note: str | None = None


@pytest.fixture
def environment(monkeypatch):
    """The process environment without Temporal's variables; set what a test needs."""
    for name in ("TEMPORAL_ADDRESS", "TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE", "TEMPORAL_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def round_trip(value, kind):
    converter = CompactPayloadConverter()
    [payload] = converter.to_payloads([value])
    return payload.data, converter.from_payloads([payload], [kind])[0]


def test_workflow_ids_are_what_people_type():
    """People find a project's workflows in Temporal's tools by these ids."""
    assert project_workflow_id("abc") == "project-abc"
    assert session_workflow_id("abc", 3) == "project-abc-session-3"


def test_search_attributes_have_their_types():
    """An attribute registered under another type can't be set by a workflow."""
    assert search_attribute_types() == {
        "ShiftworkProject": "Keyword",
        "ShiftworkStatus": "Keyword",
        "ShiftworkFeaturesTotal": "Int",
        "ShiftworkFeaturesPassing": "Int",
        "ShiftworkProgress": "Double",
        "ShiftworkFeature": "Keyword",
        "ShiftworkRole": "Keyword",
        "ShiftworkAgent": "Keyword",
    }
    assert len(SEARCH_ATTRIBUTES) == 8


def test_payloads_leave_defaults_out():
    """Histories grow with every default that is written into them."""
    data, again = round_trip(ProjectOptions(max_attempts=3), ProjectOptions)
    assert data == b'{"max_attempts":3}'
    assert again == ProjectOptions(max_attempts=3)


def test_payloads_keep_what_was_changed_in_place():
    """A list that grew in place would be lost if unset fields were left out."""
    state = State()
    state.finished.append(7)
    assert round_trip([state], list[State]) == (b'[{"finished":[7]}]', [state])


@pytest.mark.parametrize("value", [None, 3, "text", {"a": None}, [1, None]])
def test_plain_values_stay_what_they_are(value):
    """People send plain JSON from Temporal's own tools."""
    assert round_trip(value, type(value) if value is not None else None)[1] == value


def test_the_sandbox_passes_our_modules_through():
    """Without it each workflow imports the whole domain again."""
    runner = plugin().workflow_runner(None)
    assert isinstance(runner, SandboxedWorkflowRunner)
    assert {"shiftwork", "activities", "pydantic"} <= runner.restrictions.passthrough_modules


def test_a_worker_without_sandbox_stays_without():
    """A debugger can't step through a workflow if the plugin forces the sandbox back in."""
    runner = UnsandboxedWorkflowRunner()
    assert plugin().workflow_runner(runner) is runner


async def test_no_stack_is_one_sentence(tmp_path, environment):
    """Somebody who forgot `shiftwork dev` would get a traceback instead of the next step."""
    with pytest.raises(StackError, match=r"No stack is running in .*shiftwork dev"):
        await connect(Settings(state=tmp_path))


async def test_an_unreachable_server_is_one_sentence(tmp_path, environment):
    """A wrong TEMPORAL_ADDRESS would hang, or show the SDK's own error."""
    environment.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    with pytest.raises(
        StackError, match=r"Temporal does not answer at 127\.0\.0\.1:1: check TEMPORAL_ADDRESS"
    ):
        await connect(Settings(state=tmp_path))


async def test_a_broken_profile_is_one_sentence(tmp_path, environment):
    """A mistake in a profile file would show as a server that is down."""
    config = tmp_path / "temporal.toml"
    config.write_text("[profile.default\n")
    environment.setenv("TEMPORAL_CONFIG_FILE", str(config))
    with pytest.raises(InvalidInput, match="environment configuration is wrong"):
        await connect(Settings(state=tmp_path))


def test_light_modules_stay_light():
    """Every command would pay for Temporal's SDK, asyncio and the database driver at its start."""
    code = (
        "import sys, shiftwork.settings, shiftwork.stack.file; "
        "print([m for m in ('temporalio','asyncio','pydantic','asyncpg','psutil') if m in sys.modules])"
    )
    argv = [sys.executable, "-P", "-c", code]
    assert subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip() == "[]"
