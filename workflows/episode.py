"""One episode: one play of an environment by one player."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.episodes import EpisodeActivities
    from shiftwork.contracts.episode import EpisodeEnd, EpisodeErrorKind, EpisodeGivenUp, EpisodeStart
    from shiftwork.temporal import EPISODE_WORKFLOW
    from workflows.options import book_keeping, whole_attempt


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
            **whole_attempt(start.timeouts, start.timeout, "the episode is played"),
        )
