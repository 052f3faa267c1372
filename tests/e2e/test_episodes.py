"""Episodes of environments, played by a worker that is killed again and again."""

import random
import shlex
from contextlib import suppress
from typing import Any

import psutil
import pytest
from temporalio.client import WorkflowExecution
from temporalio.worker import Replayer

from shiftwork.codec.choose import choose_codec
from shiftwork.contracts.episode import (
    EpisodeErrorKind,
    EpisodeStatus,
    EvaluationEnd,
    EvaluationSpec,
    EvaluationStart,
    Player,
    PlayerKind,
    ScriptedAction,
)
from shiftwork.environments.playing import Choice, Policy, RandomPolicy, Trajectory, play
from shiftwork.environments.protocol import Observation
from shiftwork.environments.registry import make_environment
from shiftwork.errors import Conflict
from shiftwork.store.episodes import EpisodeRow
from shiftwork.store.evaluations import EvaluationRow
from shiftwork.temporal import EVALUATION_WORKFLOW, TASK_QUEUE, evaluation_workflow_id, plugin
from tests.e2e.lab import Lab, eventually
from tests.e2e.support import PATIENCE, WorkerProcess, processes_of
from workflows.evaluation import EvaluationWorkflow

MAZE = {"rows": 12, "columns": 12}
STEPS = 120


async def ended(lab: Lab, evaluation: EvaluationRow, seconds: float = PATIENCE) -> list[EpisodeRow]:
    async def look() -> bool:
        return (await lab.shiftwork.evaluation(evaluation.id)).status.ended

    await eventually(look, seconds)
    return list(await lab.shiftwork.episodes(evaluation.id))


async def in_the_middle(lab: Lab, evaluation: EvaluationRow, steps: int) -> bool:
    """Whether an episode is under way that has taken so many steps."""
    for row in await lab.shiftwork.episodes(evaluation.id):
        if row.status is EpisodeStatus.RUNNING and len(await lab.shiftwork.episode_steps(row.id)) >= steps:
            return True
    return False


async def undisturbed(seed: int, policy: Policy | None = None) -> Trajectory:
    """The same episode, played here, by chance if by nobody else."""
    environment = make_environment("maze", MAZE)
    return await play(environment, policy or RandomPolicy(seed), seed=seed, most_steps=STEPS)


async def test_killed_workers_change_no_trajectory(lab: Lab, shared_worker: WorkerProcess) -> None:
    """Nobody could trust a result: a crash would play an episode in another way, or count a step twice."""
    spec = EvaluationSpec(
        environment="maze", parameters=MAZE, episodes=20, seed=5, parallel=3, max_steps=STEPS
    )
    evaluation = await lab.shiftwork.evaluate(spec, request_key="once")
    chance = random.Random(3)
    for _ in range(4):
        await eventually(
            lambda: in_the_middle(lab, evaluation, chance.randint(1, STEPS - 60)), 60, every=0.01
        )
        shared_worker.kill()
        shared_worker.start()
    assert (await lab.shiftwork.evaluate(spec, request_key="once")).id == evaluation.id
    rows = await ended(lab, evaluation, 180)
    assert [row.seed for row in rows] == list(range(5, 25))
    assert max(row.attempt for row in rows) > 1
    for row in rows:
        expected = await undisturbed(row.seed)
        assert [each.step for each in await lab.shiftwork.episode_steps(row.id)] == list(expected.steps)
        stats = expected.stats
        assert (row.status, row.ending) == (EpisodeStatus.COMPLETED, expected.ending)
        assert row.total_reward == pytest.approx(stats.total_reward)
        assert (row.total_steps, row.success) == (stats.total_steps, stats.success)
    assert not [each for each in processes_of(lab.settings.state, "") if "environments.host" in each]


def hosts_of(worker: WorkerProcess) -> list[psutil.Process]:
    """The processes in which a worker's environments are."""
    found = []
    for process in psutil.Process(worker.pid).children(recursive=True):
        with suppress(psutil.Error):
            if process.cmdline()[1:] == ["-P", "-m", "shiftwork.environments.host"]:
                found.append(process)
    return found


@pytest.mark.parametrize("by_a_program", [False, True], ids=["by-chance", "by-a-program"])
async def test_killed_environments_change_no_trajectory(
    lab: Lab, shared_worker: WorkerProcess, *, by_a_program: bool
) -> None:
    """If it failed, whatever ends an environment's process would lose an episode that could go on."""
    chooser = Player()
    if by_a_program:
        chooser = Player(kind=PlayerKind.COMMAND, command=f"python3 -c {shlex.quote(WANDERS)}")
    spec = EvaluationSpec(
        environment="maze", parameters=MAZE, player=chooser, episodes=4, seed=5, parallel=2, max_steps=STEPS
    )
    evaluation = await lab.shiftwork.evaluate(spec)
    taken: dict[int, int] = {}

    async def further() -> bool:
        """Whether each episode under way has taken more steps than when a process was killed last."""
        rows = await lab.shiftwork.episodes(evaluation.id)
        assert [row.error for row in rows if row.error] == []
        running = [row.id for row in rows if row.status is EpisodeStatus.RUNNING]
        now = {number: len(await lab.shiftwork.episode_steps(number)) for number in running}
        if not now or any(steps <= taken.get(number, 0) for number, steps in now.items()):
            return False
        taken.update(now)
        return True

    killed = 0
    while killed < 3:
        await eventually(further, every=0.01)
        for host in hosts_of(shared_worker):
            host.kill()
            killed += 1
    rows = await ended(lab, evaluation, 180)
    for row in rows:
        expected = await undisturbed(row.seed, Wanders() if by_a_program else None)
        assert (row.status, row.error, row.attempt) == (EpisodeStatus.COMPLETED, None, 1)
        assert [each.step for each in await lab.shiftwork.episode_steps(row.id)] == list(expected.steps)
        assert (row.total_steps, row.ending) == (expected.stats.total_steps, expected.ending)
        assert row.total_reward == pytest.approx(expected.stats.total_reward)


WANDERS = """
import json, sys
asked = 0
for line in sys.stdin:
    turn = json.loads(line)
    if turn.get("over"):
        break
    asked += 1  # it remembers how often: to be asked twice for a step would change what it does
    actions = turn["observation"]["available_actions"]
    ways = actions[0]["parameters"]["direction"]["enum"]
    way = ways[asked * asked % len(ways)]
    print(json.dumps({"action": "move", "parameters": {"direction": way}}), flush=True)
"""


class Wanders:
    """The same, here."""

    def __init__(self) -> None:
        self.asked = 0

    async def act(self, observation: Observation, _: object) -> Choice:
        self.asked += 1
        ways: Any = observation.available_actions[0].parameters
        ways = ways["direction"]["enum"]
        return Choice(action="move", parameters={"direction": ways[self.asked * self.asked % len(ways)]})


async def test_a_worker_that_stops_loses_no_episode(lab: Lab, shared_worker: WorkerProcess) -> None:
    """Each restart of a worker would count as a crash, so that long evaluations would fail by them."""
    spec = EvaluationSpec(environment="maze", parameters=MAZE, retries=0, seed=7, max_steps=STEPS)
    evaluation = await lab.shiftwork.evaluate(spec)
    await eventually(lambda: in_the_middle(lab, evaluation, 1), every=0.01)
    shared_worker.stop()
    shared_worker.start()
    (row,) = await ended(lab, evaluation)
    assert (row.status, row.attempt, row.worker_stops) == (EpisodeStatus.COMPLETED, 2, 1)
    steps = [each.step for each in await lab.shiftwork.episode_steps(row.id)]
    assert steps == list((await undisturbed(row.seed)).steps)


async def test_a_script_is_played(lab: Lab, shared_worker: WorkerProcess) -> None:
    """A known way to win could not be held against an environment."""
    script = tuple(ScriptedAction(action="guess", parameters={"number": n}) for n in range(1, 101))
    player = Player(kind=PlayerKind.SCRIPTED, script=script)
    spec = EvaluationSpec(
        environment="number_guess", parameters={"max_steps": 100}, player=player, seed=3, episodes=2
    )
    rows = await ended(lab, await lab.shiftwork.evaluate(spec))
    assert [row.success for row in rows] == [True, True]
    assert all(row.reproducible and row.terminated for row in rows)


@pytest.mark.parametrize(
    ("spec", "kind", "why"),
    [
        (
            EvaluationSpec(environment="nowhere"),
            EpisodeErrorKind.INVALID,
            "there is no environment 'nowhere'; there are: ",
        ),
        (EvaluationSpec(environment="maze", parameters={"rows": "x"}), EpisodeErrorKind.INVALID, "rows"),
        (
            EvaluationSpec(environment="maze", parameters={"colour": 1}),
            EpisodeErrorKind.INVALID,
            "does not take these parameters",
        ),
        (
            EvaluationSpec(environment="os:abort"),
            EpisodeErrorKind.ENVIRONMENT,
            "its process ended with status 134",
        ),
    ],
)
async def test_what_can_not_be_played_says_why(
    lab: Lab, shared_worker: WorkerProcess, spec, kind, why
) -> None:
    """A mistake in a name would be retried for ever, or end the worker."""
    (row,) = await ended(lab, await lab.shiftwork.evaluate(spec))
    assert (row.status, row.error_kind) == (EpisodeStatus.FAILED, kind)
    assert why in (row.error or "")


async def test_an_evaluation_is_cancelled(lab: Lab, shared_worker: WorkerProcess) -> None:
    """Somebody who started a thousand episodes by mistake could not end them."""
    spec = EvaluationSpec(environment="maze", parameters=MAZE, episodes=300, parallel=2)
    evaluation = await lab.shiftwork.evaluate(spec)

    async def look() -> bool:
        return any(row.status.ended for row in await lab.shiftwork.episodes(evaluation.id))

    await eventually(look)
    await lab.shiftwork.cancel_evaluation(evaluation.id)
    rows = await ended(lab, evaluation)
    assert (await lab.shiftwork.evaluation(evaluation.id)).status is EpisodeStatus.FAILED
    assert {row.status for row in rows} <= {EpisodeStatus.COMPLETED, EpisodeStatus.FAILED}
    kinds = {row.error_kind for row in rows if row.status is EpisodeStatus.FAILED}
    assert kinds == {EpisodeErrorKind.CANCELLED}
    with pytest.raises(Conflict, match="has ended already"):
        await lab.shiftwork.cancel_evaluation(evaluation.id)


async def test_a_long_evaluation_goes_on_in_further_histories(lab: Lab, shared_worker: WorkerProcess) -> None:
    """One of many episodes would outgrow what Temporal holds, or lose what comes after the first history."""
    async with lab.shiftwork.store.transaction() as tx:
        row = await tx.evaluations.create(EvaluationSpec(environment="number_guess", episodes=5, max_steps=2))
        numbers = tuple(episode.id for episode in await tx.episodes.of(row.id))
    client, workflow_id = await lab.shiftwork.temporal(), evaluation_workflow_id(row.id)
    start = EvaluationStart(evaluation_id=row.id, episodes=numbers, parallel=2, batch=2)
    await client.start_workflow(EVALUATION_WORKFLOW, start, id=workflow_id, task_queue=TASK_QUEUE)
    rows = await ended(lab, row)
    assert [each.status for each in rows] == [EpisodeStatus.COMPLETED] * 5
    assert [each.attempt for each in rows] == [1] * 5
    end = await client.get_workflow_handle(workflow_id, result_type=EvaluationEnd).result()
    assert end.status is EpisodeStatus.COMPLETED

    async def listed() -> list[WorkflowExecution] | None:
        found = [each async for each in client.list_workflows(f"WorkflowId = '{workflow_id}'")]
        return found if len(found) == 3 else None

    runs, codec = await eventually(listed), choose_codec(lab.settings)
    for each in runs:
        history = await client.get_workflow_handle(workflow_id, run_id=each.run_id).fetch_history()
        await Replayer(workflows=[EvaluationWorkflow], plugins=[plugin(codec)]).replay_workflow(history)
