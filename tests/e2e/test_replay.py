"""Stored histories are replayed: a change of the workflows that would break running projects fails here."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from shiftwork.codec.choose import choose_codec
from shiftwork.codec.payloads import EncryptionCodec
from shiftwork.contracts.activity import VerifyRequest
from shiftwork.contracts.session import RunStatus
from shiftwork.contracts.workflow import SessionResult, SessionStart, SessionStatus
from shiftwork.settings import Settings
from shiftwork.temporal import (
    EPISODE_WORKFLOW,
    EVALUATION_WORKFLOW,
    MAINTENANCE_WORKFLOW,
    PROCESS_QUEUE,
    PROJECT_WORKFLOW,
    SCHEDULED_RUN_WORKFLOW,
    SESSION_WORKFLOW,
    TASK_WORKFLOW,
    plugin,
)
from tests.histories import record, runs
from workflows.episode import EpisodeWorkflow
from workflows.evaluation import EvaluationWorkflow
from workflows.maintenance import MaintenanceWorkflow
from workflows.project import ProjectWorkflow
from workflows.scheduled import ScheduledRunWorkflow
from workflows.session import SessionWorkflow
from workflows.task import TaskWorkflow

HISTORIES = sorted(Path(record.__file__).parent.glob("*.json"))
WORKFLOWS = (
    *(ProjectWorkflow, SessionWorkflow, TaskWorkflow, ScheduledRunWorkflow, MaintenanceWorkflow),
    *(EpisodeWorkflow, EvaluationWorkflow),
)


def history(path: Path) -> WorkflowHistory:
    stored = json.loads(path.read_text())
    return WorkflowHistory.from_json(stored.pop("workflow_id"), stored)


async def replay(path: Path, *workflows: type, codec: EncryptionCodec | None = None) -> None:
    replayer = Replayer(workflows=workflows, plugins=[plugin(codec)])
    await replayer.replay_workflow(history(path))


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_stored_history_can_be_replayed(path: Path) -> None:
    """A running project or task that a new version of the workflows can't go on with."""
    await replay(path, *WORKFLOWS)


@pytest.mark.parametrize("path", HISTORIES[::5], ids=lambda path: path.stem)
async def test_a_history_from_before_the_codec_can_be_replayed_with_it(path: Path, tmp_path: Path) -> None:
    """A running project that can't go on once what Temporal stores is encrypted."""
    codec = choose_codec(Settings(state=tmp_path), {})
    await replay(path, *WORKFLOWS, codec=codec)


def test_every_scenario_is_stored() -> None:
    """A scenario that is recorded by nobody, or a history of a scenario that is gone."""
    stored = {path.stem.split("-")[0] for path in HISTORIES}
    assert stored == {each.__name__ for each in (*record.SCENARIOS, *runs.RUNS)}
    assert len([path for path in HISTORIES if path.stem.startswith("continued-project-")]) >= 2


def test_a_stored_history_tells_nothing_of_its_machine() -> None:
    """Paths and host names of whoever recorded, in a public repository."""
    for path in HISTORIES:
        content = b"".join(event.SerializeToString() for event in history(path).events)
        found = re.findall(rb"/tmp/|/home/|/root/|/Users/|\d+@[\w.-]+", content)
        assert found == [], path.name


def test_every_workflow_is_stored() -> None:
    """A workflow whose running executions any change may break, with nothing that fails before."""
    started = [history(path).events[0].workflow_execution_started_event_attributes for path in HISTORIES]
    stored = {each.workflow_type.name for each in started}
    every = {PROJECT_WORKFLOW, SESSION_WORKFLOW, TASK_WORKFLOW, SCHEDULED_RUN_WORKFLOW, MAINTENANCE_WORKFLOW}
    assert stored == every | {EPISODE_WORKFLOW, EVALUATION_WORKFLOW}


@workflow.defn(name=SESSION_WORKFLOW, sandboxed=False)
class VerifiesFirst:
    """A session that does what ours does, in another order."""

    @workflow.run
    async def run(self, start: SessionStart) -> SessionResult:
        """Verify before there is anything to verify."""
        request = VerifyRequest(
            project_id=start.project_id,
            session=start.session,
            started_at=workflow.info().workflow_start_time,
            candidate=RunStatus.COMPLETED,
        )
        await workflow.execute_activity(
            "verify", request, task_queue=PROCESS_QUEUE, start_to_close_timeout=timedelta(hours=1)
        )
        return SessionResult(status=SessionStatus.PASSED, started_at=workflow.info().workflow_start_time)


async def test_a_different_workflow_fails_the_replay() -> None:
    """A replay that passes whatever it is given."""
    path = next(path for path in HISTORIES if path.stem == "completed-session")
    with pytest.raises(workflow.NondeterminismError):
        await replay(path, VerifiesFirst)
