"""One episode: one play of an environment by one player."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.episodes import EpisodeActivities
    from shiftwork.contracts.episode import EpisodeEnd, EpisodeErrorKind, EpisodeGivenUp, EpisodeStart
    from shiftwork.temporal import EPISODE_WORKFLOW, PROCESS_QUEUE
    from workflows.options import NOT_RETRYABLE, book_keeping


@workflow.defn(name=EPISODE_WORKFLOW)
class EpisodeWorkflow:
    """Plays an episode whose row exists; what is written of it is not played again."""

    @workflow.run
    async def run(self, start: EpisodeStart) -> EpisodeEnd:
        """Play it to its end; Cancel ends it as failed, of kind `cancelled`."""
        try:
            return await self._attempts(start)
        except (ActivityError, asyncio.CancelledError) as error:
            # No attempt could end it: cancelled before or between attempts, or none can succeed.
            cancelled = is_cancelled_exception(error)
            given_up = EpisodeGivenUp(
                episode_id=start.episode_id,
                error="The episode was cancelled." if cancelled else f"It can't be played: {error.__cause__}",
                error_kind=EpisodeErrorKind.CANCELLED if cancelled else EpisodeErrorKind.LOST,
            )
        return await workflow.execute_local_activity_method(
            EpisodeActivities.give_up_episode, given_up, **book_keeping("no attempt ended it")
        )

    async def _attempts(self, start: EpisodeStart) -> EpisodeEnd:
        return await workflow.execute_activity_method(
            EpisodeActivities.play_episode,
            start,
            task_queue=PROCESS_QUEUE,
            # The attempt itself keeps to its timeout; this is for one that can't.
            start_to_close_timeout=timedelta(seconds=start.timeout) + timedelta(minutes=10),
            heartbeat_timeout=timedelta(seconds=start.timeouts.heartbeat),
            retry_policy=RetryPolicy(
                initial_interval=timedelta(seconds=start.timeouts.retry_interval),
                maximum_interval=timedelta(seconds=30),
                non_retryable_error_types=NOT_RETRYABLE,
            ),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary="the episode is played",
        )
