"""What episodes leave behind is removed when nobody needs it any more."""

import asyncio
import re

from shiftwork.contracts.episode import EpisodeErrorKind, EpisodeStatus, EvaluationSpec
from shiftwork.store.evaluations import EvaluationRow
from shiftwork.temporal import evaluation_workflow_id
from tests.e2e.lab import Lab
from tests.e2e.support import WorkerProcess
from tests.e2e.test_episodes import ended
from tests.e2e.test_maintenance import execute, maintain


async def test_folders_of_dead_attempts_at_episodes_go(lab: Lab, shared_worker: WorkerProcess) -> None:
    """Disks would fill with what players left on hosts that were lost."""
    evaluation = await lab.shiftwork.evaluate(EvaluationSpec(environment="number_guess"))
    (row,) = await ended(lab, evaluation)
    async with lab.shiftwork.store.transaction() as tx:
        waiting = await tx.evaluations.create(EvaluationSpec(environment="number_guess"))
        (coming,) = await tx.episodes.of(waiting.id)
    names = (f"e{row.id}-a1", f"e{coming.id}-a1", "e987654321-a1", f"e{row.id}-a1-mine")
    for name in names:
        (lab.settings.tasks / name).mkdir(parents=True)
    assert (await maintain(lab)).failed == ()
    left = {each.name for each in lab.settings.tasks.iterdir() if re.match(r"e\d", each.name)}
    assert left >= {*names[1:]}
    assert names[0] not in left
    for name in names[1:]:
        (lab.settings.tasks / name).rmdir()


async def stays(lab: Lab, row: EvaluationRow) -> None:
    """What has ended is ended no second time, nor begun."""
    assert row.status.ended
    assert (await maintain(lab)).failed == ()
    assert await lab.shiftwork.evaluation(row.id) == row


async def test_an_evaluation_that_nothing_plays_ends(lab: Lab, shared_worker: WorkerProcess) -> None:
    """One that was terminated in Temporal would be `running` in all lists, until somebody watched it."""
    shared_worker.kill()
    client = await lab.shiftwork.temporal()
    spec = EvaluationSpec(environment="number_guess", episodes=2)
    dead, alive = await lab.shiftwork.evaluate(spec), await lab.shiftwork.evaluate(spec)
    async with lab.shiftwork.store.transaction() as tx:
        coming = await tx.evaluations.create(spec)  # whoever asked for it is about to start it
    await client.get_workflow_handle(evaluation_workflow_id(dead.id)).terminate("by hand")
    shared_worker.start()
    first, second = await asyncio.gather(maintain(lab), maintain(lab))
    assert (first.failed, second.failed) == ((), ())
    assert first.evaluations + second.evaluations >= 1  # other tests may have left some, too
    (line,) = [each for each in await lab.shiftwork.evaluation_results() if each.evaluation.id == dead.id]
    assert (line.evaluation.status, line.tally) == (EpisodeStatus.FAILED, {EpisodeStatus.FAILED: 2})
    for episode in await lab.shiftwork.episodes(dead.id):
        assert episode.error_kind is EpisodeErrorKind.LOST
        assert episode.error == (
            "The workflow of its evaluation has ended (terminated), and plays it no more."
        )
    assert {each.status for each in await ended(lab, alive)} == {EpisodeStatus.COMPLETED}
    assert (await lab.shiftwork.evaluation(coming.id)).status is EpisodeStatus.CREATED
    await lab.shiftwork.cancel_evaluation(coming.id)
    await stays(lab, await lab.shiftwork.evaluation(coming.id))


async def test_who_looks_at_an_evaluation_is_told_of_its_end(lab: Lab, shared_worker: WorkerProcess) -> None:
    """Who polls one that was terminated in Temporal would wait until the next maintenance."""
    shared_worker.kill()
    row = await lab.shiftwork.evaluate(EvaluationSpec(environment="number_guess"))
    assert (await lab.shiftwork.evaluation_result(row.id)).evaluation.status is EpisodeStatus.CREATED
    client = await lab.shiftwork.temporal()
    await client.get_workflow_handle(evaluation_workflow_id(row.id)).terminate("by hand")
    told = await lab.shiftwork.evaluation_result(row.id)
    assert (told.evaluation.status, told.tally) == (EpisodeStatus.FAILED, {EpisodeStatus.FAILED: 1})
    shared_worker.start()


async def left(lab: Lab, *, seconds: int = 40) -> EvaluationRow:
    """An evaluation whose client died after it had written the rows, so long ago."""
    async with lab.shiftwork.store.transaction() as tx:
        row = await tx.evaluations.create(EvaluationSpec(environment="number_guess", episodes=2))
    earlier = f"UPDATE evaluations SET created_at = created_at - interval '{seconds} s' WHERE id = :id"
    await execute(lab, earlier, id=row.id)
    return row


async def test_an_evaluation_whose_client_died_is_begun(lab: Lab, shared_worker: WorkerProcess) -> None:
    """One that nobody asks for again by its key would be `created` for ever."""
    row = await left(lab)
    first, second = await asyncio.gather(maintain(lab), maintain(lab))
    assert (first.failed, second.failed) == ((), ())
    assert first.evaluations + second.evaluations >= 1
    assert {each.status for each in await ended(lab, row)} == {EpisodeStatus.COMPLETED}
    watched = await left(lab)
    async with asyncio.timeout(150):
        result = await lab.shiftwork.wait_evaluation(watched.id)
    assert result.all_played
    cancelled = await left(lab)
    await lab.shiftwork.cancel_evaluation(cancelled.id)
    await stays(lab, await lab.shiftwork.evaluation(cancelled.id))


async def test_old_steps_of_ended_episodes_go(lab: Lab, shared_worker: WorkerProcess) -> None:
    """The database would grow for ever, or an episode that goes on would lose what it goes on from."""
    evaluation = await lab.shiftwork.evaluate(EvaluationSpec(environment="number_guess", episodes=2))
    old, new = await ended(lab, evaluation)
    away = "UPDATE episode_steps SET created_at = created_at - interval '31 days' WHERE episode_id = :id"
    await execute(lab, away, id=old.id)
    assert (await maintain(lab)).transcript_items >= old.total_steps
    assert await lab.shiftwork.episode_steps(old.id) == []
    assert await lab.shiftwork.episode_steps(new.id) != []
    kept = (await lab.shiftwork.episodes(evaluation.id))[0]
    assert (kept.status, kept.total_steps) == (EpisodeStatus.COMPLETED, old.total_steps)
    await execute(lab, "UPDATE episodes SET ended_at = NULL WHERE id = :id", id=new.id)
    await execute(lab, away, id=new.id)
    await maintain(lab)
    assert await lab.shiftwork.episode_steps(new.id) != []
    await execute(lab, "UPDATE episodes SET ended_at = now() WHERE id = :id", id=new.id)
