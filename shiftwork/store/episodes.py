"""Episodes and their steps: each episode is played by one attempt at a time."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from shiftwork.contracts.base import Message
from shiftwork.contracts.episode import EpisodeErrorKind, EpisodeStatus
from shiftwork.contracts.task import TaskUsage
from shiftwork.environments.trajectory import Ending, Step
from shiftwork.errors import Conflict, LeaseLost, NotFound
from shiftwork.store.earnings import by_kept_steps
from shiftwork.store.evaluations import CHANNEL
from shiftwork.store.noun import Noun, is_id
from shiftwork.store.tables import LEASE_TOKENS, EpisodeStepTable, EpisodeTable


class EpisodeRow(Message):
    """One play. What it earned and how it ended is there once it has; `seconds`: how long it lasted. Of one
    that failed, what it earned is that of the steps that were kept.

    `worker_stops`: how many attempts a worker gave back that was told to stop. `played_seconds`: how long it
    had been played when the last of those was.
    """

    id: int
    evaluation_id: int
    number: int
    seed: int
    status: EpisodeStatus
    ending: Ending | None
    success: bool
    terminated: bool
    truncated: bool
    reproducible: bool
    total_reward: float | None
    total_steps: int
    refused_actions: int
    rewards: dict[str, float] | None
    seconds: float | None
    usage: TaskUsage | None
    error: str | None
    error_kind: EpisodeErrorKind | None
    worker: str
    sandbox: str
    attempt: int
    worker_stops: int
    played_seconds: float
    token: int | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class StepRow(Message):
    """A step as it is kept; `seconds` since the episode began."""

    number: int
    agent: str | None
    action: str
    parameters: dict[str, Any]
    success: bool
    reward: float
    rewards: dict[str, float]
    error: str | None
    observation: str
    terminated: bool
    truncated: bool
    seconds: float
    fault: bool
    broken: bool

    @property
    def step(self) -> Step:
        """The step alone."""
        return Step(**self.model_dump(exclude={"seconds"}))


class EpisodeOutcome(Message):
    """How an attempt ended an episode; see `EpisodeRow`."""

    status: EpisodeStatus
    ending: Ending | None = None
    success: bool = False
    terminated: bool = False
    truncated: bool = False
    reproducible: bool = False
    total_reward: float | None = None
    total_steps: int = 0
    refused_actions: int = 0
    rewards: dict[str, float] | None = None
    seconds: float | None = None
    usage: TaskUsage | None = None
    error: str | None = None
    error_kind: EpisodeErrorKind | None = None


class Episodes(Noun):
    """The rows of `episodes` and `episode_steps`."""

    async def get(self, episode_id: int) -> EpisodeRow:
        """The episode with this id; raises `NotFound`."""
        row = await self._first(_one(episode_id), EpisodeRow) if is_id(episode_id) else None
        if row is None:
            raise NotFound(f"There is no episode {episode_id}; `shiftwork env stats` shows the evaluations.")
        return row

    async def of(self, evaluation_id: int, *, limit: int | None = None, offset: int = 0) -> list[EpisodeRow]:
        """The episodes of an evaluation, in order."""
        statement = select(EpisodeTable.__table__).where(EpisodeTable.evaluation_id == evaluation_id)
        statement = statement.order_by(EpisodeTable.number).limit(limit).offset(offset)
        return await self._all(statement, EpisodeRow)

    async def tallies(self, evaluation_ids: Iterable[int]) -> dict[int, dict[EpisodeStatus, int]]:
        """How many episodes of each evaluation stand where; those that none has are left out."""
        columns = (EpisodeTable.evaluation_id, EpisodeTable.status)
        wanted = EpisodeTable.evaluation_id.in_(list(evaluation_ids))
        statement = select(*columns, func.count()).where(wanted).group_by(*columns)
        tallies: dict[int, dict[EpisodeStatus, int]] = {}
        for evaluation_id, status, number in await self._connection.execute(statement):
            tallies.setdefault(evaluation_id, {})[EpisodeStatus(status)] = number
        return tallies

    async def count_steps(self, episode_id: int) -> int:
        """How many steps are kept of an episode."""
        return await self._number_of(
            select(EpisodeStepTable).where(EpisodeStepTable.episode_id == episode_id)
        )

    async def steps(self, episode_id: int, *, after: int = 0, limit: int | None = None) -> list[StepRow]:
        """The steps of an episode after a number, in order."""
        columns = [column for column in EpisodeStepTable.__table__.c if column.name in StepRow.model_fields]
        statement = select(*columns).where(EpisodeStepTable.episode_id == episode_id)
        statement = statement.where(EpisodeStepTable.number > after).order_by(EpisodeStepTable.number)
        return await self._all(statement.limit(limit), StepRow)

    async def forget_steps(self, before: datetime, limit: int) -> int:
        """Delete steps that were taken before this moment, of episodes that have ended; `limit` at most."""
        old = "created_at < $1 AND episode_id IN (SELECT id FROM episodes WHERE ended_at IS NOT NULL)"
        oldest = f"SELECT ctid FROM episode_steps WHERE {old} LIMIT $2"  # noqa: S608 - all of it is ours
        gone = f"DELETE FROM episode_steps WHERE ctid = ANY(ARRAY({oldest})) RETURNING 1"  # noqa: S608 - too
        return len(await self._run(gone, before, limit))

    async def begin(self, episode_id: int, worker: str, sandbox: str) -> EpisodeRow:
        """Play it from now on: an attempt of its own, which alone may write of it.

        Raises:
            NotFound: there is no such episode.
            Conflict: it has ended.
        """
        row = await self._locked(episode_id)
        if row.status.ended:
            raise Conflict(f"Episode {episode_id} has ended already: it is {row.status}.")
        return await self._write(
            episode_id,
            {
                "status": EpisodeStatus.RUNNING.value,
                "worker": worker,
                "sandbox": sandbox,
                "attempt": row.attempt + 1,
                "token": LEASE_TOKENS.next_value(),
                "started_at": func.coalesce(EpisodeTable.started_at, func.clock_timestamp()),
            },
        )

    async def add(self, episode_id: int, token: int, step: Step, seconds: float) -> None:
        """Write a step of the attempt that has this token; the same one again changes nothing.

        Raises:
            LeaseLost: another attempt plays it, or it has ended; nothing was written.
            InvalidInput: the step holds a secret.
        """
        row = await self._held(episode_id, token)
        values = {**step.model_dump(mode="json"), "episode_id": episode_id, "seconds": seconds}
        await self._connection.execute(upsert(EpisodeStepTable).values(values).on_conflict_do_nothing())
        await self._tell(row.evaluation_id)

    async def note_usage(self, episode_id: int, token: int, usage: TaskUsage) -> None:
        """Write what the player cost by now, as the attempt that has this token; raises `LeaseLost`."""
        await self._held(episode_id, token)
        await self._write(episode_id, {"usage": usage.model_dump(mode="json")})

    async def give_back(self, episode_id: int, token: int, played_seconds: float) -> None:
        """Write that a worker was told to stop and gave it back, as its attempt; raises `LeaseLost`.

        Args:
            played_seconds: how long it has been played by now, by all attempts.
        """
        await self._held(episode_id, token)
        stops = EpisodeTable.worker_stops + 1
        await self._write(episode_id, {"worker_stops": stops, "played_seconds": played_seconds})

    async def finish(self, episode_id: int, token: int, outcome: EpisodeOutcome) -> EpisodeRow:
        """End it, as the attempt that has this token; raises `LeaseLost` if that is not it any more."""
        await self._held(episode_id, token)
        return await self._end(episode_id, outcome)

    async def give_up(self, episode_id: int, outcome: EpisodeOutcome) -> EpisodeRow:
        """End it, whoever plays it; one that has ended stays as it is."""
        row = await self._locked(episode_id)
        return row if row.status.ended else await self._end(episode_id, outcome)

    async def _locked(self, episode_id: int) -> EpisodeRow:
        statement = _one(episode_id).with_for_update()
        row = await self._first(statement, EpisodeRow) if is_id(episode_id) else None
        return row or await self.get(episode_id)

    async def _held(self, episode_id: int, token: int) -> EpisodeRow:
        row = await self._locked(episode_id)
        if row.status is not EpisodeStatus.RUNNING or row.token != token:
            raise LeaseLost(f"Episode {episode_id} is {row.status}, and another attempt's by now.")
        return row

    async def _end(self, episode_id: int, outcome: EpisodeOutcome) -> EpisodeRow:
        values = outcome.model_dump(mode="json")
        if outcome.usage is None:  # who ends it does not know: what is written of it counts
            del values["usage"]
        if outcome.total_reward is None:  # nor what it came to
            values |= by_kept_steps()
        return await self._write(episode_id, {**values, "token": None, "ended_at": func.clock_timestamp()})

    async def _write(self, episode_id: int, values: Mapping[str, Any]) -> EpisodeRow:
        changed = update(EpisodeTable).where(EpisodeTable.id == episode_id).values(**values)
        row = await self._first(changed.returning(EpisodeTable.__table__), EpisodeRow)
        assert row is not None
        await self._tell(row.evaluation_id)
        return row

    async def _tell(self, evaluation_id: int) -> None:
        await self._connection.execute(select(func.pg_notify(CHANNEL, str(evaluation_id))))


def spent_in(steps: Iterable[StepRow]) -> float:
    """How long an episode had lasted when its last step was taken, in seconds."""
    return max((each.seconds for each in steps), default=0.0)


def _one(episode_id: int) -> Select[Any]:
    return select(EpisodeTable.__table__).where(EpisodeTable.id == episode_id)
