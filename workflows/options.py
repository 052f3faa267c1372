"""How the workflows call their activities: timeouts, retries, queues."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from activities.error_types import NOT_HERE, WORKER_LOST, WORKER_STOPPING
from shiftwork.contracts.project import RetryOptions
from shiftwork.contracts.workflow import Timeouts
from shiftwork.temporal import PROCESS_QUEUE

NOT_RETRYABLE = [
    *("InvalidInput", "CassetteError", "NotFound", "Conflict", "PeopleCommitsAtRisk"),
    "UnreadableRow",  # by this version; who mends it has it run again
    "EnvironmentFailed",  # it was tried again already
]
"""Errors that trying again can't help; Temporal compares class names, not ancestors."""

_LONG = timedelta(hours=24)

_ATTENDED = 10.0
"""Seconds within which a worker that lives attends what it runs, even if its machine stands still a while."""


def process_activity(
    timeouts: Timeouts, retry: RetryOptions, seconds: float, summary: str
) -> workflow.ActivityConfig:
    """Agents and verification: they heartbeat, may be cancelled, and finish cleaning up before they end.

    Args:
        timeouts: how soon a lost worker is noticed.
        retry: the project's own retry options.
        seconds: what the work itself may take.
        summary: what people read in the Web UI.
    """
    policy = RetryPolicy(
        initial_interval=timedelta(seconds=min(retry.initial_interval, timeouts.retry_interval)),
        backoff_coefficient=retry.backoff,
        maximum_interval=timedelta(seconds=retry.maximum_interval),
        maximum_attempts=retry.maximum_attempts,
        non_retryable_error_types=NOT_RETRYABLE,
    )
    return _process(timeouts, policy, seconds, summary)


def whole_attempt(timeouts: Timeouts, seconds: float, summary: str) -> workflow.ActivityConfig:
    """An attempt that keeps to its own time and ends by itself what it started: a task, an episode.

    Args:
        timeouts: how soon a lost worker is noticed.
        seconds: what it may take; the server's own limit is for one that does not keep to that.
        summary: what people read in the Web UI.
    """
    policy = RetryPolicy(
        initial_interval=timedelta(seconds=timeouts.retry_interval),
        maximum_interval=timedelta(seconds=30),
        non_retryable_error_types=NOT_RETRYABLE,
    )
    return _process(timeouts, policy, seconds, summary)


def at_hand(summary: str) -> workflow.LocalActivityConfig:
    """A run that begins in this worker: once, as what is lost here is begun anew as any run is."""
    return workflow.LocalActivityConfig(
        start_to_close_timeout=timedelta(seconds=60),
        retry_policy=RetryPolicy(maximum_attempts=1),
        summary=summary,
    )


def attended(timeouts: Timeouts, queue: str, seconds: float, summary: str) -> workflow.ActivityConfig:
    """What attends a run in the worker of this queue: if that does not come soon, the run is lost with it.

    Tried again only where somebody has it paused, or reset, in Temporal's tools.
    """
    policy = RetryPolicy(
        initial_interval=timedelta(seconds=timeouts.retry_interval),
        non_retryable_error_types=[
            *NOT_RETRYABLE,
            NOT_HERE,
            WORKER_LOST,
            WORKER_STOPPING,
            "LeaseLost",
            "StackError",
        ],
    )
    config = _process(timeouts, policy, seconds, summary)
    return config | workflow.ActivityConfig(
        task_queue=queue, schedule_to_start_timeout=timedelta(seconds=_ATTENDED)
    )


def _process(
    timeouts: Timeouts, policy: RetryPolicy, seconds: float, summary: str
) -> workflow.ActivityConfig:
    """What heartbeats on the queue of processes, and is waited for when it is cancelled."""
    return workflow.ActivityConfig(
        task_queue=PROCESS_QUEUE,
        start_to_close_timeout=timedelta(seconds=seconds) + timedelta(minutes=10),
        heartbeat_timeout=timedelta(seconds=timeouts.heartbeat),
        retry_policy=policy,
        cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary=summary,
    )


def book_keeping(summary: str) -> workflow.LocalActivityConfig:
    """Sub-second writes: tried until they succeed, because what they record has happened already."""
    return workflow.LocalActivityConfig(
        schedule_to_close_timeout=_LONG,
        start_to_close_timeout=timedelta(seconds=60),
        retry_policy=RetryPolicy(
            initial_interval=timedelta(milliseconds=100),
            maximum_interval=timedelta(seconds=5),
            non_retryable_error_types=NOT_RETRYABLE,
        ),
        summary=summary,
    )
