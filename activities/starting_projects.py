"""Starting the workflow of a project whose rows exist."""

from datetime import timedelta
from typing import Any

from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from shiftwork.contracts.workflow import ProjectStart, Timeouts
from shiftwork.settings import Settings
from shiftwork.temporal import TASK_QUEUE, project_attributes, project_workflow_id
from shiftwork.text import plain_markdown


def project_start(settings: Settings, project_id: str) -> ProjectStart:
    """What a project's workflow is started with."""
    timings = settings.timings
    timeouts = Timeouts(
        heartbeat=timings.heartbeat_timeout,
        retry_interval=timings.retry_interval,
        workflow_task=timings.workflow_task,
    )
    return ProjectStart(project_id=project_id, timeouts=timeouts)


def workflow_options(settings: Settings, project_id: str, name: str, status: str) -> dict[str, Any]:
    """Whoever starts a project's workflow: it has one id, and a name that people can read."""
    return {
        "id": project_workflow_id(project_id),
        "task_queue": TASK_QUEUE,
        "id_conflict_policy": WorkflowIDConflictPolicy.USE_EXISTING,
        "id_reuse_policy": WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        "task_timeout": timedelta(seconds=settings.timings.workflow_task),
        "static_summary": plain_markdown(name),  # the Web UI takes it for Markdown
        "search_attributes": project_attributes(name, status, 0, 0),
    }
