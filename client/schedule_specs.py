"""What Temporal is told of an agent's schedule."""

from datetime import timedelta

from temporalio.client import (
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
)

from shiftwork.contracts.agent import AgentConfiguration, Overlap
from shiftwork.contracts.task import ScheduledRun
from shiftwork.schedules import Recurrence
from shiftwork.store.agents import AgentRow
from shiftwork.temporal import SCHEDULED_RUN_WORKFLOW, TASK_QUEUE, agent_attributes
from shiftwork.text import plain_markdown

OVERLAPS = {
    Overlap.SKIP: ScheduleOverlapPolicy.SKIP,
    Overlap.BUFFER_ONE: ScheduleOverlapPolicy.BUFFER_ONE,
    Overlap.BUFFER_ALL: ScheduleOverlapPolicy.BUFFER_ALL,
    Overlap.ALLOW_ALL: ScheduleOverlapPolicy.ALLOW_ALL,
}


def wanted_schedule(agent: AgentRow, named: str, expression: str, task_seconds: float) -> Schedule:
    """The schedule of this id, as the agent's configuration says.

    Args:
        task_seconds: what one workflow task may take.
    """
    config = agent.config
    return Schedule(
        action=action_of(agent, named, task_seconds),
        spec=_spec(expression, config),
        policy=SchedulePolicy(
            overlap=OVERLAPS[config.overlap], catchup_window=timedelta(seconds=config.catch_up_seconds)
        ),
        state=ScheduleState(note=plain_markdown(agent.description)[:1_000] or None),
    )


def action_of(agent: AgentRow, named: str, task_seconds: float) -> ScheduleActionStartWorkflow:
    """What each of its occurrences starts."""
    return ScheduleActionStartWorkflow(
        SCHEDULED_RUN_WORKFLOW,
        ScheduledRun(agent_id=agent.id, schedule_id=named, overlap=agent.config.overlap),
        id=f"scheduled-{named}",
        task_queue=TASK_QUEUE,
        task_timeout=timedelta(seconds=task_seconds),
        static_summary=plain_markdown(agent.name),
        typed_search_attributes=agent_attributes(agent.name),
    )


def _spec(expression: str, config: AgentConfiguration) -> ScheduleSpec:
    recurrence = Recurrence.parse(expression, config.timezone)
    jitter = timedelta(seconds=config.jitter_seconds) if config.jitter_seconds else None
    if recurrence.interval is not None:
        return ScheduleSpec(intervals=[ScheduleIntervalSpec(recurrence.interval)], jitter=jitter)
    return ScheduleSpec(
        cron_expressions=recurrence.cron_expressions(), time_zone_name=config.timezone, jitter=jitter
    )
