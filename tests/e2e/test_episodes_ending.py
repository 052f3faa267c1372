"""Evaluations that are ended: before they begin, in their middle, and behind the back of Shiftwork."""

import asyncio
import os
import sys

import pytest

from shiftwork.contracts.episode import EpisodeErrorKind, EpisodeStatus, EvaluationSpec, Player, PlayerKind
from shiftwork.errors import Conflict
from shiftwork.store.evaluations import EvaluationRow
from shiftwork.temporal import episode_workflow_id, evaluation_workflow_id
from tests.e2e.lab import Lab, eventually
from tests.e2e.support import WorkerProcess

SILENT = Player(kind=PlayerKind.COMMAND, command="sleep 300", answer_timeout=300)
"""Begins, and never acts."""


async def begins(lab: Lab, evaluation: EvaluationRow) -> None:
    """Wait for its first episode."""

    async def look() -> bool:
        rows = await lab.shiftwork.episodes(evaluation.id)
        return any(row.status is EpisodeStatus.RUNNING for row in rows)

    await eventually(look)


async def ends(lab: Lab, evaluation: EvaluationRow, status: EpisodeStatus) -> list[tuple]:
    """Wait for its end; how its episodes ended."""
    async with asyncio.timeout(150):
        result = await lab.shiftwork.wait_evaluation(evaluation.id)
    assert result.evaluation.status is status
    assert result.evaluation.ended_at is not None
    rows = await lab.shiftwork.episodes(evaluation.id)
    return [(row.status, row.error_kind) for row in rows]


CANCELLED = (EpisodeStatus.FAILED, EpisodeErrorKind.CANCELLED)
LOST = (EpisodeStatus.FAILED, EpisodeErrorKind.LOST)


async def test_one_that_is_cancelled_before_it_begins_has_ended(
    lab: Lab, shared_worker: WorkerProcess
) -> None:
    """It would be waited for, for ever, and be played after all by the same key."""
    spec = EvaluationSpec(environment="number_guess", episodes=3)
    shared_worker.pause()
    try:
        evaluation = await lab.shiftwork.evaluate(spec, request_key="ended before")
        await lab.shiftwork.cancel_evaluation(evaluation.id)
    finally:
        shared_worker.resume()
    assert await ends(lab, evaluation, EpisodeStatus.FAILED) == [CANCELLED] * 3
    again = await lab.shiftwork.evaluate(spec, request_key="ended before")
    assert (again.id, again.status) == (evaluation.id, EpisodeStatus.FAILED)


async def test_one_that_temporal_ended_can_still_be_cancelled(lab: Lab, shared_worker: WorkerProcess) -> None:
    """It would be `created` for ever, and nobody could say otherwise."""
    shared_worker.pause()
    try:
        evaluation = await lab.shiftwork.evaluate(EvaluationSpec(environment="number_guess", episodes=2))
        client = await lab.shiftwork.temporal()
        await client.get_workflow_handle(evaluation_workflow_id(evaluation.id)).terminate()
        await lab.shiftwork.cancel_evaluation(evaluation.id)
        assert await ends(lab, evaluation, EpisodeStatus.FAILED) == [CANCELLED] * 2
    finally:
        shared_worker.resume()
    with pytest.raises(Conflict, match="has ended already: it is failed"):
        await lab.shiftwork.cancel_evaluation(evaluation.id)


async def test_an_episode_that_temporal_ended_holds_up_nothing(
    lab: Lab, shared_worker: WorkerProcess
) -> None:
    """One workflow that somebody terminated would leave the evaluation running for ever."""
    spec = EvaluationSpec(environment="number_guess", player=SILENT, episodes=2, timeout=20, parallel=2)
    evaluation = await lab.shiftwork.evaluate(spec)
    await begins(lab, evaluation)
    client = await lab.shiftwork.temporal()
    for row in await lab.shiftwork.episodes(evaluation.id):
        await eventually(lambda: started(lab, row.id))  # noqa: B023 - awaited at once
        await client.get_workflow_handle(episode_workflow_id(row.id)).terminate()
    assert await ends(lab, evaluation, EpisodeStatus.COMPLETED) == [LOST, LOST]
    first, _ = await lab.shiftwork.episodes(evaluation.id)
    assert (first.error or "").startswith("Its workflow did not come to its own end: ")


async def started(lab: Lab, episode: int) -> bool:
    async with lab.shiftwork.store.transaction() as tx:
        return (await tx.episodes.get(episode)).status is EpisodeStatus.RUNNING


async def test_who_watches_learns_that_temporal_ended_it(lab: Lab, shared_worker: WorkerProcess) -> None:
    """`env watch` would go on for ever, about an evaluation that nobody plays."""
    spec = EvaluationSpec(environment="number_guess", player=SILENT, episodes=2)
    evaluation = await lab.shiftwork.evaluate(spec)
    await begins(lab, evaluation)
    watch = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "client", "env", "watch", str(evaluation.id)),
        env={**os.environ, "SHIFTWORK_STATE": str(lab.settings.state)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    client = await lab.shiftwork.temporal()
    await client.get_workflow_handle(evaluation_workflow_id(evaluation.id)).terminate()
    told, errors = await asyncio.wait_for(watch.communicate(), 150)
    assert watch.returncode == 5, errors.decode()
    assert b"0/2 failed" in told
    why = b"could not be played: The workflow of its evaluation has ended (terminated), and plays it no more"
    assert why in b" ".join(errors.split())
    _, unbegun = await ends(lab, evaluation, EpisodeStatus.FAILED)
    assert unbegun == LOST  # the other one may have seen its own end first


async def test_what_an_attempt_played_counts_for_the_next(lab: Lab, shared_worker: WorkerProcess) -> None:
    """Each restart of a worker would give an episode its whole time again."""
    spec = EvaluationSpec(environment="number_guess", player=SILENT, timeout=6)
    evaluation = await lab.shiftwork.evaluate(spec)
    await begins(lab, evaluation)
    await asyncio.sleep(3)
    shared_worker.stop()
    (row,) = await lab.shiftwork.episodes(evaluation.id)
    assert 2.5 < row.played_seconds < 6
    await asyncio.sleep(4)  # nobody plays it: that does not count
    shared_worker.start()
    assert await ends(lab, evaluation, EpisodeStatus.COMPLETED) == [
        (EpisodeStatus.FAILED, EpisodeErrorKind.TIMEOUT)
    ]
    (row,) = await lab.shiftwork.episodes(evaluation.id)
    assert row.error == "It was ended after 6 s of play, because its time was over."
