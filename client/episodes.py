"""Evaluations and their episodes, as people and programs have them played, follow and end them."""

from collections.abc import Sequence
from datetime import timedelta

from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from client.connection import Connection
from client.vetting import check_agent, check_hosts
from shiftwork.contracts.episode import EpisodeStatus, EvaluationSpec, EvaluationStart
from shiftwork.contracts.workflow import Timeouts
from shiftwork.errors import Conflict, NotFound, StackError
from shiftwork.secrets.refusing import refuse_secrets
from shiftwork.storable import check_mapping, check_text
from shiftwork.store.episodes import EpisodeRow, StepRow
from shiftwork.store.evaluations import EvaluationRow
from shiftwork.temporal import EVALUATION_WORKFLOW, TASK_QUEUE, evaluation_workflow_id
from shiftwork.text import plain_markdown


class EpisodeControl(Connection):
    """The evaluations of a stack."""

    async def evaluate(self, spec: EvaluationSpec, *, request_key: str | None = None) -> EvaluationRow:
        """Have episodes of an environment played; does not wait for their end.

        Only workers know which environments they have: of one that is not there every episode fails.

        Args:
            spec: what is played, by whom, from which seeds.
            request_key: the same one again finds the same evaluation.

        Raises:
            InvalidInput: what is given can't be kept as it is.
            StackError: Temporal can't be reached; the same `request_key` again starts it.
        """
        check_text("environment", spec.environment)
        check_mapping("parameters", spec.parameters)
        if spec.player.agent is not None:
            check_agent(spec.player.agent.backend, spec.player.agent.settings)
        check_hosts(spec.sandbox)
        refuse_secrets("What is to be played", spec.model_dump(mode="json"), await self.guard())
        async with self.store.transaction() as tx:
            row = await tx.evaluations.create(spec, request_key)
            episodes = await tx.episodes.of(row.id)
        if row.status is EpisodeStatus.CREATED:
            await self._begin_evaluation(row, [each.id for each in episodes if not each.status.ended])
        return row

    async def evaluation(self, evaluation_id: int) -> EvaluationRow:
        """The evaluation with this id; raises `NotFound`."""
        async with self.store.transaction() as tx:
            return await tx.evaluations.get(evaluation_id)

    async def evaluations(
        self, *, environment: str | None = None, limit: int = 50, offset: int = 0
    ) -> Sequence[EvaluationRow]:
        """Evaluations, newest first: of this environment, or of all."""
        async with self.store.transaction() as tx:
            return await tx.evaluations.list(environment=environment, limit=limit, offset=offset)

    async def episodes(self, evaluation_id: int) -> Sequence[EpisodeRow]:
        """The episodes of an evaluation, in order; raises `NotFound`."""
        async with self.store.transaction() as tx:
            await tx.evaluations.get(evaluation_id)
            return await tx.episodes.of(evaluation_id)

    async def episode_steps(
        self, episode_id: int, *, after: int = 0, limit: int = 1_000
    ) -> Sequence[StepRow]:
        """The steps of an episode after a number, in order; raises `NotFound`."""
        async with self.store.transaction() as tx:
            await tx.episodes.get(episode_id)
            return await tx.episodes.steps(episode_id, after=after, limit=limit)

    async def cancel_evaluation(self, evaluation_id: int) -> None:
        """End an evaluation: episodes under way end as `cancelled`, and no other begins.

        Raises:
            NotFound: there is no such evaluation.
            Conflict: it has ended.
            StackError: Temporal can't be reached.
        """
        row = await self.evaluation(evaluation_id)
        if row.status.ended:
            raise Conflict(f"Evaluation {evaluation_id} has ended already: it is {row.status}.")
        client = await self.temporal()
        try:
            await client.get_workflow_handle(evaluation_workflow_id(evaluation_id)).cancel()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise _unreached(error) from error
            raise NotFound(f"Evaluation {evaluation_id} is not under way.") from None

    async def _begin_evaluation(self, row: EvaluationRow, episodes: Sequence[int]) -> None:
        timings = self.settings.timings
        start = EvaluationStart(
            evaluation_id=row.id,
            episodes=tuple(episodes),
            parallel=row.spec.parallel,
            timeout=row.spec.timeout,
            timeouts=Timeouts(heartbeat=timings.heartbeat_timeout, retry_interval=timings.retry_interval),
        )
        client = await self.temporal()
        try:
            await client.start_workflow(
                EVALUATION_WORKFLOW,
                start,
                id=evaluation_workflow_id(row.id),
                task_queue=TASK_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                task_timeout=timedelta(seconds=timings.workflow_task),
                static_summary=plain_markdown(f"{row.environment}: {len(episodes)} episodes"),
            )
        except WorkflowAlreadyStartedError:
            return
        except RPCError as error:
            raise _unreached(error) from error


def _unreached(error: RPCError) -> StackError:
    return StackError(f"Temporal did not answer: {error.message}; try again.")
