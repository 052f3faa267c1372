"""An evaluation: episodes of one kind, some at once, until all of them have ended."""

import asyncio

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.episodes import EpisodeActivities
    from shiftwork.contracts.episode import (
        EpisodeStart,
        EpisodeStatus,
        EvaluationEnd,
        EvaluationMove,
        EvaluationStart,
    )
    from shiftwork.temporal import EVALUATION_WORKFLOW, episode_workflow_id
    from workflows.episode import EpisodeWorkflow
    from workflows.options import book_keeping

BATCH = 200
"""Episodes that one history holds; the next begins where it ends."""


@workflow.defn(name=EVALUATION_WORKFLOW)
class EvaluationWorkflow:
    """Has every episode played whose row exists, each by a workflow of its own."""

    @workflow.run
    async def run(self, start: EvaluationStart) -> EvaluationEnd:
        """Have them played; Cancel ends those under way, and begins no other."""
        await self._move(start, EpisodeStatus.RUNNING)
        now, later = start.episodes[:BATCH], start.episodes[BATCH:]
        places = asyncio.Semaphore(start.parallel)
        plays = [asyncio.create_task(self._play(start, episode, places)) for episode in now]
        cancelled = await self._ended(plays)
        if later and not cancelled:
            workflow.continue_as_new(start.model_copy(update={"episodes": later}))
        status = EpisodeStatus.FAILED if cancelled else EpisodeStatus.COMPLETED
        await self._move(start, status)
        return EvaluationEnd(evaluation_id=start.evaluation_id, status=status)

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
            await workflow.execute_child_workflow(
                EpisodeWorkflow.run,
                EpisodeStart(episode_id=episode, timeout=start.timeout, timeouts=start.timeouts),
                id=episode_workflow_id(episode),
                static_summary=f"episode {episode}",
            )

    async def _move(self, start: EvaluationStart, status: EpisodeStatus) -> None:
        await workflow.execute_local_activity_method(
            EpisodeActivities.move_evaluation,
            EvaluationMove(evaluation_id=start.evaluation_id, status=status),
            **book_keeping(f"the evaluation is {status.value}"),
        )
