"""Programs that play episodes, by a worker that is killed, and with bad intentions."""

import random
import shlex
from pathlib import Path

from sqlalchemy import text

from shiftwork.contracts.episode import (
    EpisodeErrorKind,
    EpisodeStatus,
    EvaluationSpec,
    Player,
    PlayerKind,
)
from shiftwork.store.episodes import EpisodeRow, StepRow
from shiftwork.store.evaluations import EvaluationRow
from tests.e2e.lab import Lab, eventually
from tests.e2e.support import PATIENCE, WorkerProcess, processes_of

GREEDY = (Path(__file__).parents[2] / "examples" / "players" / "greedy_maze.py").read_text(encoding="utf-8")
MAZE = {"rows": 8, "columns": 8}


def maze(command: str, **more) -> EvaluationSpec:
    """Played by this command."""
    player = Player(kind=PlayerKind.COMMAND, command=command, answer_timeout=more.pop("answer_timeout", 60))
    return EvaluationSpec(environment="maze", parameters=MAZE, player=player, **more)


def python(code: str) -> str:
    return f"python3 -c {shlex.quote(code)}"


async def evaluate_alike(lab: Lab, spec: EvaluationSpec, key: bytes) -> EvaluationRow:
    """Have it played with this secret, as whose the seeds of its players are the same as in another one."""
    name = f"alike {random.random()}"
    async with lab.shiftwork.store.transaction() as tx:
        row = await tx.evaluations.create(spec, name)
        given = text("UPDATE evaluations SET player_key = :key WHERE id = :id")
        await tx.evaluations._connection.execute(given, {"key": key, "id": row.id})
    return await lab.shiftwork.evaluate(spec, request_key=name)


async def ended(lab: Lab, evaluation: EvaluationRow, seconds: float = PATIENCE) -> list[EpisodeRow]:
    async def look() -> bool:
        return (await lab.shiftwork.evaluation(evaluation.id)).status.ended

    await eventually(look, seconds)
    return list(await lab.shiftwork.episodes(evaluation.id))


async def steps(lab: Lab, row: EpisodeRow) -> list[StepRow]:
    return list(await lab.shiftwork.episode_steps(row.id))


async def test_a_killed_worker_changes_nothing_of_what_a_program_does(
    lab: Lab, shared_worker: WorkerProcess
) -> None:
    """A crash would have a program play another episode, or leave it running beside its successor."""
    spec = maze(python(GREEDY), seed=40, episodes=3, parallel=3)
    expected = await ended(lab, await evaluate_alike(lab, spec, b"the same"))
    # Slower, so that it can be met in the middle; else the same program.
    slow = maze(
        python(
            GREEDY.replace("for line in sys.stdin:", "for line in sys.stdin:\n        sleep(0.03)", 1)
        ).replace("import sys", "import sys\nfrom time import sleep", 1),
        seed=40,
        episodes=3,
        parallel=3,
    )
    evaluation = await evaluate_alike(lab, slow, b"the same")
    chance = random.Random(3)

    async def in_the_middle() -> bool:
        for row in await lab.shiftwork.episodes(evaluation.id):
            if row.status is EpisodeStatus.RUNNING and len(await steps(lab, row)) >= least:
                return True
        return False

    for _ in range(2):
        least = chance.randint(2, 9)
        await eventually(in_the_middle, every=0.01)
        shared_worker.kill()
        shared_worker.start()
    rows = await ended(lab, evaluation)
    assert max(row.attempt for row in rows) > 1
    for row, before in zip(rows, expected, strict=True):
        assert (row.status, row.success, row.total_reward) == (
            EpisodeStatus.COMPLETED,
            True,
            before.total_reward,
        )
        assert [each.step for each in await steps(lab, row)] == [
            each.step for each in await steps(lab, before)
        ]
    assert not [each for each in processes_of(lab.settings.state, "") if "sys.stdin" in each]


async def test_what_a_program_does_wrong_is_the_players_failure(
    lab: Lab, shared_worker: WorkerProcess
) -> None:
    """A broken program would be tried for ever, or take the worker with it."""
    cases = {
        "echo nonsense": "answered turn 1 with 'nonsense'",
        "cat >/dev/null": "did not answer turn 1 within 2 s",
        "yes": "answered turn 1 with 'y'",
        "kill -9 $PPID; exit 5": "ended with status ",
    }
    for command, why in cases.items():
        (row,) = await ended(lab, await lab.shiftwork.evaluate(maze(command, answer_timeout=2)))
        assert (row.status, row.error_kind) == (EpisodeStatus.FAILED, EpisodeErrorKind.PLAYER)
        assert why in (row.error or "")
        assert row.attempt == 1
    (row,) = await ended(lab, await lab.shiftwork.evaluate(maze(python(GREEDY), seed=1)))
    assert row.success
    assert not list(lab.settings.tasks.glob("e*"))
