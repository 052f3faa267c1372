"""What episodes leave behind is removed when nobody needs it any more."""

import re

from shiftwork.contracts.episode import EpisodeStatus, EvaluationSpec
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
