"""One occurrence of an agent's schedule: what a Temporal Schedule starts."""

from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from activities.schedules import ScheduleActivities
    from shiftwork.contracts.agent import Overlap
    from shiftwork.contracts.task import Occurrence, OccurrenceTask, ScheduledRun
    from shiftwork.temporal import SCHEDULED_RUN_WORKFLOW, agent_attributes, task_workflow_id
    from workflows.options import book_keeping
    from workflows.task import TaskWorkflow

_WHEN = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")

_SOONEST, _LATEST = timedelta(seconds=1), timedelta(minutes=5)
"""After how long an occurrence that waits looks again."""


@workflow.defn(name=SCHEDULED_RUN_WORKFLOW)
class ScheduledRunWorkflow:
    """Makes the occurrence's task, which there is once, and has it run."""

    @workflow.run
    async def run(self, run: ScheduledRun) -> str:
        """The task's status in the end, or why there is none."""
        made = await workflow.execute_local_activity_method(
            ScheduleActivities.make_task,
            Occurrence(
                agent_id=run.agent_id,
                schedule_id=run.schedule_id,
                at=self._occurrence(),
                overlap=run.overlap,
            ),
            **book_keeping("the occurrence's task"),
        )
        if made.start is None:
            return made.why
        overlap = made.overlap or run.overlap
        began = workflow.now()
        while True:
            try:
                return await self._run(run.agent_id, made, overlap)
            except WorkflowAlreadyStartedError:
                if overlap in (Overlap.SKIP, Overlap.ALLOW_ALL):
                    await workflow.execute_local_activity_method(
                        ScheduleActivities.drop_task, made.start.task_id, **book_keeping("skipped")
                    )
                    return "skipped: the agent runs already"
                await workflow.sleep(_pause(workflow.now() - began))

    async def _run(self, agent_id: int, made: OccurrenceTask, overlap: Overlap) -> str:
        assert made.start is not None
        workflow_id = task_workflow_id(made.start.task_id, agent_id)
        if overlap is Overlap.ALLOW_ALL:
            workflow_id = f"{workflow_id}-task-{made.start.task_id}"
        end = await workflow.execute_child_workflow(
            TaskWorkflow.run,
            made.start,
            id=workflow_id,
            static_summary=made.summary,
            search_attributes=agent_attributes(made.name),
            memo={"task_id": made.start.task_id},
        )
        return end.status.value

    def _occurrence(self) -> datetime:
        return workflow.info().typed_search_attributes.get(_WHEN) or workflow.info().start_time


def _pause(waited: timedelta) -> timedelta:
    """How long to wait still; who waited for days has looked too often for one history otherwise."""
    return max(_SOONEST, min(_LATEST, waited / 10))
