"""What evaluations come to, while they go on and afterwards."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from client.connection import Connection
from client.evaluation_workflows import settle
from client.resting import POLL_SECONDS
from shiftwork.contracts.episode import EpisodeStatus
from shiftwork.contracts.task import TaskUsage
from shiftwork.environments.protocol import EpisodeStats
from shiftwork.environments.scoring import Estimate, Score, score
from shiftwork.errors import StackError
from shiftwork.store.episodes import EpisodeRow
from shiftwork.store.evaluations import EvaluationRow
from shiftwork.store.store import Transaction

Look = Callable[[EvaluationRow], Awaitable[None]]
"""Writes the end of an evaluation that nothing plays any more, or has it begin; raises `StackError`."""

_QUIET_SECONDS = 5.0
"""After so long without a change somebody looks whether any can still come."""

_ANSWER_SECONDS = 2.0
"""For so long a look at an evaluation waits for Temporal."""


@dataclass(frozen=True, slots=True)
class Result:
    """What an evaluation comes to so far.

    Attributes:
        evaluation: its row.
        tally: how many of its episodes stand where.
        score: of those that were played to their end; None before the first was.
        usage: what its players spent on models; None if they have none.
    """

    evaluation: EvaluationRow
    tally: dict[EpisodeStatus, int]
    score: Score | None
    usage: TaskUsage | None

    @property
    def ended(self) -> int:
        """How many episodes have ended."""
        return sum(number for status, number in self.tally.items() if status.ended)

    @property
    def all_played(self) -> bool:
        """Whether every episode was played to its end."""
        return set(self.tally) == {EpisodeStatus.COMPLETED}

    def facts(self) -> dict[str, Any]:
        """As JSON."""
        row, got = self.evaluation, self.score
        return {
            "id": row.id,
            "uuid": row.uuid,
            "status": row.status.value,
            "environment": row.environment,
            "player": player_name(row),
            "created_at": row.created_at.isoformat(),
            "ended_at": row.ended_at.isoformat() if row.ended_at else None,
            "spec": row.spec.model_dump(mode="json"),
            "episodes": {status.value: self.tally.get(status, 0) for status in EpisodeStatus},
            "success": got and _interval(got.success),
            "reward": got and _interval(got.reward),
            "steps": got and _interval(got.steps),
            "truncated": got and got.truncated,
            "refused": got and got.refused,
            "usage": self.usage and self.usage.model_dump(mode="json"),
        }


class EvaluationResults(Connection):
    """What the evaluations of a stack come to."""

    async def evaluation_result(self, evaluation_id: int) -> Result:
        """What an evaluation comes to so far; raises `NotFound`.

        Of one that has not ended Temporal is asked first: it may have been terminated there. Where Temporal
        does not answer at once, the rows tell.
        """
        row = await self.store.read(lambda tx: tx.evaluations.get(evaluation_id))
        if not row.status.ended:
            with suppress(StackError, TimeoutError):
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await self.settle_evaluation(row)
        return await self.store.read(partial(one_result, evaluation_id=evaluation_id))

    async def evaluation_results(
        self, *, environment: str | None = None, limit: int = 20, offset: int = 0
    ) -> list[Result]:
        """The same of several, the newest first: of this environment, or of all."""

        async def read(tx: Transaction) -> list[Result]:
            rows = await tx.evaluations.list(environment=environment, limit=limit, offset=offset)
            return [await _result(tx, row) for row in rows]

        return await self.store.read(read)

    async def evaluation_changes(self, evaluation_id: int) -> AsyncGenerator[Result]:
        """What it comes to now, and whenever another episode began or ended, until it has ended itself."""
        async with aclosing(changes(self.store, evaluation_id, self.settle_evaluation)) as told:
            async for result in told:
                yield result

    async def settle_evaluation(self, row: EvaluationRow) -> None:
        """Write the end of an evaluation whose workflow was ended by Temporal's own means; else nothing.

        One whose client died before it started the workflow is started.

        Raises:
            StackError: Temporal can't be reached.
        """
        await settle(await self.temporal(), self.store, self.settings, row)

    async def wait_evaluation(self, evaluation_id: int) -> Result:
        """What an evaluation came to, once it has ended; raises `NotFound`."""
        async with aclosing(self.evaluation_changes(evaluation_id)) as told:
            async for result in told:
                if result.evaluation.status.ended:
                    return result
        raise AssertionError("changes end with the evaluation")  # pragma: no cover


async def changes(store: Any, evaluation_id: int, look: Look) -> AsyncGenerator[Result]:
    """See `EvaluationResults.evaluation_changes`; `store` is a `PatientStore`."""
    last: tuple[EpisodeStatus, dict[EpisodeStatus, int]] | None = None
    since = time.monotonic()
    while True:
        row, tally = await store.read(partial(_standing, evaluation_id=evaluation_id))
        if (row.status, tally) != last:
            last = (row.status, tally)
            since = time.monotonic()
            result: Result = await store.read(partial(one_result, evaluation_id=evaluation_id))
            yield result
            if result.evaluation.status.ended:
                return
        elif time.monotonic() - since > _QUIET_SECONDS:
            with suppress(StackError):  # it is away for a while: the rows are read on
                await look(row)
            since = time.monotonic()
        else:
            await asyncio.sleep(POLL_SECONDS)


async def one_result(tx: Transaction, evaluation_id: int) -> Result:
    """What an evaluation comes to so far; raises `NotFound`."""
    return await _result(tx, await tx.evaluations.get(evaluation_id))


async def _standing(tx: Transaction, evaluation_id: int) -> tuple[EvaluationRow, dict[EpisodeStatus, int]]:
    row = await tx.evaluations.get(evaluation_id)
    return row, (await tx.episodes.tallies([row.id])).get(row.id, {})


async def _result(tx: Transaction, row: EvaluationRow) -> Result:
    episodes = await tx.episodes.of(row.id)
    tally: dict[EpisodeStatus, int] = {}
    for each in episodes:
        tally[each.status] = tally.get(each.status, 0) + 1
    played = [stats_of(each) for each in episodes if each.status is EpisodeStatus.COMPLETED]
    return Result(row, tally, score(played) if played else None, _spent(episodes))


def stats_of(row: EpisodeRow) -> EpisodeStats:
    """How an episode went."""
    return EpisodeStats(
        total_steps=row.total_steps,
        total_reward=row.total_reward or 0.0,
        success=row.success,
        terminated=row.terminated,
        truncated=row.truncated,
        refused_actions=row.refused_actions,
        seed=row.seed,
        reproducible=row.reproducible,
        duration_seconds=row.seconds or 0.0,
        rewards=row.rewards or {},
    )


def player_name(row: EvaluationRow) -> str:
    """Who plays, in a few words."""
    player = row.spec.player
    if player.agent is not None:
        model = player.agent.settings.get("model")
        return f"{player.agent.backend} {model}" if model else player.agent.backend
    return f"command {player.command}" if player.command is not None else player.kind.value


def _spent(episodes: Sequence[EpisodeRow]) -> TaskUsage | None:
    spent = [each.usage for each in episodes if each.usage is not None]
    return sum(spent, TaskUsage()) if spent else None


def _interval(estimate: Estimate) -> dict[str, float | None]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}
