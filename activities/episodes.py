"""Playing an episode: by one attempt at a time, each step written before the player sees what came of it."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from temporalio import activity

from activities.alive import heartbeating
from activities.attempts import end_earlier, until_told
from activities.names import GIVE_UP_EPISODE, MOVE_EVALUATION, PLAY_EPISODE
from activities.players import AskedPlayer, PlayerFailed, Seat, Seats, check_kept, seated
from activities.services import Services
from shiftwork.contracts.episode import (
    EpisodeEnd,
    EpisodeErrorKind,
    EpisodeGivenUp,
    EpisodeSpec,
    EpisodeStart,
    EpisodeStatus,
    EvaluationMove,
    PlayerKind,
)
from shiftwork.contracts.task import TaskUsage
from shiftwork.environments.host import Order, Over
from shiftwork.environments.hosting import EnvironmentHost, PlayFailed
from shiftwork.environments.protocol import Observation
from shiftwork.environments.trajectory import Choice, Step
from shiftwork.errors import Conflict, InvalidInput, LeaseLost, NotFound
from shiftwork.repository.files import remove_tree
from shiftwork.runner.limits import Limits
from shiftwork.store.episodes import EpisodeOutcome, EpisodeRow, StepRow, spent_in
from shiftwork.text import one_line, truncate

_MOST_ERROR = 2_000
_BLAMED = {
    "missing": EpisodeErrorKind.INVALID,
    "invalid": EpisodeErrorKind.INVALID,
    "environment": EpisodeErrorKind.ENVIRONMENT,
    "player": EpisodeErrorKind.PLAYER,
}


class EpisodeActivities:
    """What the workflows of episodes and evaluations do.

    Args:
        seats: who seats players of each kind that has to be asked.
    """

    def __init__(self, services: Services, seats: Mapping[PlayerKind, Seats]) -> None:
        self._services = services
        self._seats = seats
        self._host = EnvironmentHost(services.sandbox, services.settings.state, redactor=services.redactor)

    @activity.defn(name=PLAY_EPISODE)
    async def play_episode(self, start: EpisodeStart) -> EpisodeEnd:
        """Play it to its end, on from what is written of it; cancelled, it fails as such.

        A worker that is told to stop gives it back: another takes it up.
        """
        async with heartbeating(self._services.record):
            return await _Attempt(self._services, self._host, self._seats, start).execute()

    @activity.defn(name=GIVE_UP_EPISODE)
    async def give_up_episode(self, given_up: EpisodeGivenUp) -> EpisodeEnd:
        """Have an episode fail that no attempt ends any more; one that has ended stays as it is."""
        outcome = _failure(given_up.error_kind, given_up.error)
        async with self._services.store.transaction() as tx:
            row = await tx.episodes.give_up(given_up.episode_id, outcome)
        return EpisodeEnd(episode_id=row.id, status=row.status, error_kind=row.error_kind)

    @activity.defn(name=MOVE_EVALUATION)
    async def move_evaluation(self, move: EvaluationMove) -> None:
        """Write how an evaluation stands, and end what is open of one that fails; an ended one stays."""
        async with self._services.store.transaction() as tx:
            await tx.evaluations.move(move.evaluation_id, move.status)


class _Attempt:
    """One attempt at one episode."""

    def __init__(
        self,
        services: Services,
        host: EnvironmentHost,
        seats: Mapping[PlayerKind, Seats],
        start: EpisodeStart,
    ) -> None:
        self._services = services
        self._host = host
        self._seats = seats
        self._start = start
        self._spent = 0.0
        """Seconds for which it was played before this attempt, as far as anybody knows."""
        self._since = time.monotonic()

    async def execute(self) -> EpisodeEnd:
        try:
            row, spec, steps, key = await self._begin()
        except Conflict:
            return await self._as_it_is()
        self._spent = max(row.played_seconds, spent_in(steps))
        lost = row.attempt - 1 - row.worker_stops
        if lost > spec.retries:
            why = f"{lost} of its workers were lost; the episode is not taken up again."
            return await self._finish(row, _failure(EpisodeErrorKind.LOST, why))
        outcome = await self._cancellable(asyncio.ensure_future(self._played(row, spec, steps, key)), row)
        return await self._finish(row, outcome)

    async def _begin(self) -> tuple[EpisodeRow, EpisodeSpec, list[StepRow], bytes]:
        worker = f"{self._services.host}:{os.getpid()}"
        async with self._services.store.transaction() as tx:
            row = await tx.episodes.begin(self._start.episode_id, worker, self._services.sandbox.level)
            evaluation = await tx.evaluations.get(row.evaluation_id)
            key = await tx.evaluations.player_key(evaluation.id)
            return row, evaluation.spec, await tx.episodes.steps(row.id), key

    async def _played(
        self, row: EpisodeRow, spec: EpisodeSpec, steps: list[StepRow], key: bytes
    ) -> EpisodeOutcome:
        folder = self._services.settings.episode_folder(row.id, row.attempt)
        player: AskedPlayer | None = None
        try:
            await self._end_earlier(row)
            self._since = time.monotonic()
            recorded = tuple(each.step for each in steps)
            spent = row.usage or TaskUsage()
            seat = Seat(spec, row.id, row.attempt, row.seed, key, recorded, folder, spent, self._tell(row))
            sits = seated(self._services, seat, self._seats)
            async with asyncio.timeout(self._start.timeout - self._spent), sits as player:
                over = await self._play(row, seat, spent_in(steps), player)
            return _outcome(over, player)
        except TimeoutError:
            why = f"It was ended after {self._start.timeout:g} s of play, because its time was over."
            return _failure(EpisodeErrorKind.TIMEOUT, why, player)
        except PlayerFailed as error:
            return _failure(error.kind, str(error), player)
        except PlayFailed as error:
            return _failure(_BLAMED[error.why], str(error), player)
        except (InvalidInput, NotFound) as error:
            return _failure(EpisodeErrorKind.INVALID, str(error), player)
        finally:
            await asyncio.to_thread(remove_tree, folder, ignore_errors=True)

    def _tell(self, row: EpisodeRow) -> Callable[[TaskUsage], Awaitable[None]]:
        async def tell(usage: TaskUsage) -> None:
            async with self._services.store.transaction() as tx:
                await tx.episodes.note_usage(row.id, row.token or 0, usage)

        return tell

    async def _play(self, row: EpisodeRow, seat: Seat, spent: float, player: AskedPlayer | None) -> Over:
        newest = seat.recorded[-1] if seat.recorded else None

        async def keep(step: Step, seconds: float) -> None:
            nonlocal newest
            newest = step
            check_kept(step, self._services.redactor)
            async with self._services.store.transaction() as tx:
                await tx.episodes.add(row.id, row.token or 0, step, seconds)

        async def ask(observation: Observation, last: Step | None) -> Choice | None:
            assert player is not None, "it is the host that plays otherwise"
            return await player.act(observation, last)

        spec, kind = seat.spec, seat.spec.player.kind
        order = Order(
            environment=spec.environment,
            parameters=spec.parameters,
            seed=seat.seed,
            recorded=seat.recorded,
            spent=spent,
            most_steps=spec.max_steps,
            player=kind.value if kind in (PlayerKind.RANDOM, PlayerKind.SCRIPTED) else "asked",
            script=tuple(Choice(**each.model_dump()) for each in spec.player.script),
        )
        begin = None if player is None else player.begin
        limits = Limits(**spec.environment_limits.model_dump())
        over = await self._host.play(order, on_step=keep, on_turn=ask, on_begin=begin, limits=limits)
        if player is not None:
            await player.over(over.observation, newest)
        return over

    async def _end_earlier(self, row: EpisodeRow) -> None:
        folder = self._services.settings.episode_folder
        await end_earlier(folder(row.id, attempt) for attempt in range(1, row.attempt))

    async def _cancellable(self, work: "asyncio.Future[EpisodeOutcome]", row: EpisodeRow) -> EpisodeOutcome:
        left = await until_told(work, lambda: self._give_back(row))
        return left or _failure(EpisodeErrorKind.CANCELLED, "The episode was cancelled.")

    async def _give_back(self, row: EpisodeRow) -> None:
        """An attempt that a worker gave back was not lost; what it played counts."""
        played = self._spent + time.monotonic() - self._since
        with suppress(LeaseLost):
            async with self._services.store.transaction() as tx:
                await tx.episodes.give_back(row.id, row.token or 0, played)

    async def _finish(self, row: EpisodeRow, outcome: EpisodeOutcome) -> EpisodeEnd:
        async with self._services.store.transaction() as tx:
            await tx.episodes.finish(row.id, row.token or 0, outcome)
        return EpisodeEnd(episode_id=row.id, status=outcome.status, error_kind=outcome.error_kind)

    async def _as_it_is(self) -> EpisodeEnd:
        """It had ended already: an attempt whose answer was lost, or somebody ended it by hand."""
        async with self._services.store.transaction() as tx:
            row = await tx.episodes.get(self._start.episode_id)
        return EpisodeEnd(episode_id=row.id, status=row.status, error_kind=row.error_kind)


def _outcome(over: Over, player: AskedPlayer | None) -> EpisodeOutcome:
    stats = over.trajectory.stats
    fault = None if over.fault is None else one_line(truncate(over.fault, _MOST_ERROR))
    return EpisodeOutcome(
        status=EpisodeStatus.FAILED if fault else EpisodeStatus.COMPLETED,
        error=fault,
        error_kind=EpisodeErrorKind.ENVIRONMENT if fault else None,
        ending=over.trajectory.ending,
        success=stats.success,
        terminated=stats.terminated,
        truncated=stats.truncated,
        reproducible=stats.reproducible,
        total_reward=stats.total_reward,
        total_steps=stats.total_steps,
        refused_actions=stats.refused_actions,
        rewards=stats.rewards or None,
        seconds=stats.duration_seconds,
        usage=None if player is None else player.usage,
    )


def _failure(kind: EpisodeErrorKind, why: str, player: AskedPlayer | None = None) -> EpisodeOutcome:
    return EpisodeOutcome(
        status=EpisodeStatus.FAILED,
        error=one_line(truncate(why, _MOST_ERROR)),
        error_kind=kind,
        usage=None if player is None else player.usage,
    )
