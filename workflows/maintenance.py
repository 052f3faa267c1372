"""Removing what nobody needs any more, by a schedule."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.maintenance import MaintenanceActivities
    from shiftwork.contracts.maintenance import MaintenanceStart, MaintenanceSummary
    from shiftwork.temporal import MAINTENANCE_WORKFLOW, place_queue
    from shiftwork.text import one_line, plain_markdown, truncate
    from workflows.options import NOT_RETRYABLE

_REACHED = timedelta(minutes=1)
"""How long a worker of a place may take to begin; one that is gone never does."""


@workflow.defn(name=MAINTENANCE_WORKFLOW)
class MaintenanceWorkflow:
    """Does every step, whatever becomes of the others; places are looked through by workers of theirs."""

    @workflow.init
    def __init__(self, start: MaintenanceStart) -> None:
        self._timeouts = start.timeouts
        self._counts: dict[str, int] = {}
        self._failed: list[str] = []

    @workflow.run
    async def run(self, start: MaintenanceStart) -> MaintenanceSummary:
        """What was removed."""
        do, rows = workflow.execute_activity_method, MaintenanceActivities
        await asyncio.gather(
            self._count("handoffs", do(rows.remove_handoffs, **self._options())),
            self._count("transcript_items", do(rows.remove_transcripts, **self._options())),
            self._count("requests", do(rows.remove_requests, **self._options())),
            self._count("tasks", do(rows.end_lost_tasks, **self._options())),
            self._end_lost_evaluations(),
            self._begin_left_projects(),
            self._clear_places(),
        )
        summary = MaintenanceSummary(**self._counts, failed=tuple(sorted(self._failed)))
        workflow.set_current_details(_markdown(summary))
        return summary

    async def _end_lost_evaluations(self) -> None:
        if workflow.patched("end-lost-evaluations"):
            lost = workflow.execute_activity_method(
                MaintenanceActivities.end_lost_evaluations, **self._options()
            )
            await self._count("evaluations", lost)

    async def _begin_left_projects(self) -> None:
        if workflow.patched("begin-left-projects"):
            left = workflow.execute_activity_method(
                MaintenanceActivities.begin_left_projects, **self._options()
            )
            await self._count("projects", left)

    async def _clear_places(self) -> None:
        try:
            places = await workflow.execute_activity_method(
                MaintenanceActivities.find_places, **self._options()
            )
        except ActivityError as error:
            self._note(error)
            return
        self._counts["places"] = len(places.names)
        for name in places.names:
            await self._clear(name)

    async def _clear(self, place: str) -> None:
        do, here, where = workflow.execute_activity_method, MaintenanceActivities, self._options(place)
        await self._count("folders", do(here.clear_task_folders, **where), place)
        await self._count("folders", do(here.clear_project_folders, **where), place)
        await self._count("references", do(here.clear_references, **where), place)

    async def _count(self, counter: str, step: Awaitable[int], place: str = "") -> None:
        try:
            count = await step
        except ActivityError as error:
            self._note(error, f" at place {place}" if place else "")
        else:
            self._counts[counter] = self._counts.get(counter, 0) + count

    def _options(self, place: str = "") -> workflow.ActivityConfig:
        options = workflow.ActivityConfig(
            start_to_close_timeout=timedelta(minutes=30),
            heartbeat_timeout=timedelta(seconds=self._timeouts.heartbeat),
            retry_policy=RetryPolicy(
                initial_interval=timedelta(seconds=self._timeouts.retry_interval),
                maximum_attempts=3,
                non_retryable_error_types=NOT_RETRYABLE,
            ),
        )
        if place:
            options["task_queue"] = place_queue(place)
            options["schedule_to_start_timeout"] = _REACHED
            options["summary"] = f"place {place}"
        return options

    def _note(self, error: ActivityError, where: str = "") -> None:
        if is_cancelled_exception(error):
            raise error
        cause = error.cause or error
        why = cause.message if isinstance(cause, FailureError) else str(cause)
        self._failed.append(truncate(one_line(f"{error.activity_type}{where}: {why}"), 300))


def _markdown(summary: MaintenanceSummary) -> str:
    counts = summary.model_dump(exclude={"failed"})
    lines = [f"- {name.replace('_', ' ')}: {count}" for name, count in counts.items()]
    failed = [f"- **failed:** {plain_markdown(each)}" for each in summary.failed]
    return "\n".join(["Removed, ended or begun:", "", *lines, *failed])
