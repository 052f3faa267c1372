"""An evaluation: episodes of one kind, some at once, until all of them have ended."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from activities.episodes import EpisodeActivities
    from shiftwork.contracts.episode import (
        EpisodeErrorKind,
        EpisodeGivenUp,
        EpisodeStart,
        EpisodeStatus,
        EvaluationEnd,
        EvaluationMove,
        EvaluationStart,
    )
    from shiftwork.temporal import EVALUATION_WORKFLOW, episode_workflow_id
    from workflows.episode import EpisodeWorkflow
    from workflows.options import book_keeping


@workflow.defn(name=EVALUATION_WORKFLOW)
class EvaluationWorkflow:
    """Has every episode played whose row exists, each by a workflow of its own."""

    @workflow.run
    async def run(self, start: EvaluationStart) -> EvaluationEnd:
        """Have them played; Cancel, whenever it comes, ends those under way, and begins no other."""
        try:
            status = await self._played(start)
        except (ActivityError, asyncio.CancelledError) as error:
            if not is_cancelled_exception(error):
                raise
            status = EpisodeStatus.FAILED
        ending = asyncio.create_task(self._move(start, status))
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:  # too late: what has happened is written all the same
            await ending
        return EvaluationEnd(evaluation_id=start.evaluation_id, status=status)

    async def _played(self, start: EvaluationStart) -> EpisodeStatus:
        await self._move(start, EpisodeStatus.RUNNING)
        now, later = start.episodes[: start.batch], start.episodes[start.batch :]
        places = asyncio.Semaphore(start.parallel)
        plays = [asyncio.create_task(self._play(start, episode, places)) for episode in now]
        cancelled = await self._ended(plays)
        if later and not cancelled:
            workflow.continue_as_new(start.model_copy(update={"episodes": later}))
        return EpisodeStatus.FAILED if cancelled else EpisodeStatus.COMPLETED

    async def _ended(self, plays: "list[asyncio.Task[None]]") -> bool:
        """Wait for all of them; whether they had to be ended."""
        try:
            await workflow.wait(plays)
        except asyncio.CancelledError:
            for play in plays:
                play.cancel()
            await workflow.wait(plays)
            return True
        for play in plays:
            play.result()
        return False

    async def _play(self, start: EvaluationStart, episode: int, places: asyncio.Semaphore) -> None:
        async with places:
            try:
                await workflow.execute_child_workflow(
                    EpisodeWorkflow.run,
                    EpisodeStart(episode_id=episode, timeout=start.timeout, timeouts=start.timeouts),
                    id=episode_workflow_id(episode),
                    static_summary=f"episode {episode}",
                )
            except (ChildWorkflowError, WorkflowAlreadyStartedError) as error:
                await self._give_up(episode, error)

    async def _give_up(self, episode: int, error: BaseException) -> None:
        """Nobody else writes the end of an episode whose workflow was ended from outside."""
        cancelled = is_cancelled_exception(error)
        why = f"Its workflow did not come to its own end: {error.__cause__ or error}"
        given_up = EpisodeGivenUp(
            episode_id=episode,
            error="The episode was cancelled." if cancelled else why,
            error_kind=EpisodeErrorKind.CANCELLED if cancelled else EpisodeErrorKind.LOST,
        )
        await workflow.execute_local_activity_method(
            EpisodeActivities.give_up_episode, given_up, **book_keeping("its workflow was ended")
        )

    async def _move(self, start: EvaluationStart, status: EpisodeStatus) -> None:
        await workflow.execute_local_activity_method(
            EpisodeActivities.move_evaluation,
            EvaluationMove(evaluation_id=start.evaluation_id, status=status),
            **book_keeping(f"the evaluation is {status.value}"),
        )
