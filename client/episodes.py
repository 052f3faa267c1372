"""Evaluations and their episodes, as people and programs have them played, follow and end them."""

from collections.abc import Sequence

from client.connection import Connection
from client.evaluation_workflows import begin, cancel
from client.vetting import check_agent, check_hosts
from shiftwork.contracts.episode import EpisodeErrorKind, EpisodeStatus, EvaluationSpec
from shiftwork.errors import Conflict
from shiftwork.secrets.refusing import refuse_secrets
from shiftwork.storable import check_mapping, check_text
from shiftwork.store.episodes import EpisodeRow, StepRow
from shiftwork.store.evaluations import CANCELLED, EvaluationRow


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
            Conflict: the evaluation of this `request_key` plays something else.
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
            await begin(await self.temporal(), self.settings, row, episodes)
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
        if await cancel(await self.temporal(), evaluation_id):
            return
        async with self.store.transaction() as tx:  # nobody else would write it
            await tx.evaluations.fail(evaluation_id, CANCELLED, EpisodeErrorKind.CANCELLED)
