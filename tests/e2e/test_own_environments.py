"""Environments that people brought themselves: theirs may break, and nobody else is to blame for that."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
import yaml

from client.telling import tell
from shiftwork.contracts.episode import EpisodeErrorKind, EpisodeStatus, EvaluationSpec
from shiftwork.contracts.feature import FeatureStatus
from shiftwork.environments.trajectory import Ending, Step
from tests.e2e.lab import Lab
from tests.e2e.own_environments import WALKER, documented, install, install_documented
from tests.e2e.support import WorkerProcess, quick_environment, simple_feature, worker_process


@pytest_asyncio.fixture
async def equipped(lab: Lab, shared_worker: WorkerProcess) -> AsyncIterator[Lab]:
    """A stack whose only worker has the package."""
    await asyncio.to_thread(shared_worker.stop)
    async with _equipping(lab, shared_worker):
        yield lab


@asynccontextmanager
async def _equipping(lab: Lab, shared_worker: WorkerProcess) -> AsyncIterator[None]:
    path = os.pathsep.join([str(install(lab.folder / "packages")), os.environ.get("PYTHONPATH", "")])
    environment = quick_environment(lab.settings.state, PYTHONPATH=path)
    try:
        with worker_process(environment, lab.folder / "worker.log"):
            yield
    finally:
        shared_worker.start()


async def test_a_broken_environment_costs_a_feature_nothing(equipped: Lab) -> None:
    """A feature would be blocked after five attempts, and their money, for what nobody could do better."""
    switch = equipped.folder / "mended"
    environment = {
        "name": "fragile",
        "parameters": {"breaks": "exit", "switch": str(switch)},
        "min_reward": 3,
    }
    bot = {
        "name": "bot",
        "verification_steps": [{"command": "python3 bot.py", "environment": environment}],
    }
    project = await equipped.project([bot], {"bot": [[{"write": {"path": "bot.py", "content": WALKER}}]]})
    reason = await project.pauses()
    assert reason == (
        "A verification step can't be played: Environment 'fragile' failed: its process ended with status "
        "3: it does not say why; mend it where the worker runs, then resume."
    )
    feature = (await project.features())["bot"]
    assert (feature.attempts, feature.status) == (0, FeatureStatus.IN_PROGRESS)
    assert await project.events("verification_failed") == []
    [ended] = await project.events("session_ended")
    assert f"interrupted: infrastructure; {reason}" in tell(ended)

    switch.touch()
    now = await project.now()
    await equipped.shiftwork.resume(project.id)
    await project.completes(now)
    assert (await project.features())["bot"].attempts == 0
    assert len(await project.events("attempt_started")) == 1


async def test_commits_of_people_come_in_while_an_environment_is_broken(equipped: Lab) -> None:
    """Their work would wait, or be said to break a feature, for what an environment did."""
    switch = equipped.folder / "mended"
    switch.touch()
    environment = {
        "name": "fragile",
        "parameters": {"breaks": "exit", "switch": str(switch)},
        "min_reward": 3,
    }
    bot = {"name": "bot", "verification_steps": [{"command": "python3 bot.py", "environment": environment}]}
    written = {"bot": [[{"write": {"path": "bot.py", "content": WALKER}}]]}
    project = await equipped.project([bot, simple_feature("notes", "bot")], written, max_sessions=1)
    await project.pauses()
    commit = project.people_commit({"people.txt": "hello\n"})
    switch.unlink()
    now = await project.now()
    await equipped.shiftwork.resume(project.id, max_sessions=1)
    assert "its process ended with status 3" in await project.pauses(now)
    [imported] = await project.events("people_imported")
    assert (imported.data["commit"], imported.data["broken"]) == (commit, [])
    [warning] = await project.events("warning")
    assert warning.data["text"].startswith("bot: A verification step can't be played: Environment 'fragile'")
    assert (await project.statuses())["bot"] == "passing"

    switch.touch()
    now = await project.now()
    await equipped.shiftwork.resume(project.id, max_sessions=9)
    await project.completes(now)
    assert project.landings() == ["bot", "notes"]


async def test_an_episode_in_which_nothing_works_is_no_score(equipped: Lab) -> None:
    """With few steps to take, a broken environment would count as a player's failure."""
    spec = EvaluationSpec(environment="fragile", parameters={"breaks": "raise"}, max_steps=5)
    result = await equipped.shiftwork.wait_evaluation((await equipped.shiftwork.evaluate(spec)).id)
    assert (result.score, result.tally) == (None, {EpisodeStatus.FAILED: 1})
    (row,) = await equipped.shiftwork.episodes(result.evaluation.id)
    assert (row.error_kind, row.refused_actions) == (EpisodeErrorKind.ENVIRONMENT, 5)
    assert row.error is not None
    assert row.error.startswith("The last 5 actions of the episode failed inside environment 'fragile': ")
    assert "the lamp fell down" in row.error


@pytest.mark.parametrize("broken", [True, False])
async def test_an_episode_whose_worker_was_lost_after_the_step_that_broke_it_is_over(
    lab: Lab, shared_worker: WorkerProcess, *, broken: bool
) -> None:
    """A crash would have a player earn what it could not have without one."""
    await asyncio.to_thread(shared_worker.stop)
    spec = EvaluationSpec(environment="fragile_game:Torn", max_steps=5)
    evaluation = await lab.shiftwork.evaluate(spec)
    failed = {"action": "go", "success": False, "fault": True, "error": "the line is down"}
    step = Step(number=1, broken=broken, observation="0", **failed)
    async with lab.shiftwork.store.transaction() as tx:
        (row,) = await tx.episodes.of(evaluation.id)
        lost = await tx.episodes.begin(row.id, "a worker that was lost", "none")
        await tx.episodes.add(row.id, lost.token or 0, step, 0.5)
    async with _equipping(lab, shared_worker):
        result = await lab.shiftwork.wait_evaluation(evaluation.id)
    (row,) = await lab.shiftwork.episodes(result.evaluation.id)
    assert row.attempt == 2
    steps = [each.step for each in await lab.shiftwork.episode_steps(row.id)]
    if not broken:
        assert (row.ending, len(steps)) == (Ending.TERMINATED, 4)
        return
    assert (row.ending, row.error_kind) == (Ending.BROKEN, EpisodeErrorKind.ENVIRONMENT)
    assert steps == [step]
    assert "could not be put back to where it was: the line is down" in (row.error or "")


async def test_a_reader_has_an_environment_of_their_own_played(equipped: Lab) -> None:
    """Who follows the documents would find that the worker does not know it, or that the bot fails."""
    written = documented(equipped.folder)
    install_documented(written, equipped.folder / "packages")
    feature = yaml.safe_load((written / "feature.yml").read_text())
    bot = {"write": {"path": "bot.py", "content": (written / "bot.py").read_text()}}
    lazy = {"write": {"path": "bot.py", "content": "print('{\"stop\": true}')"}}
    project = await equipped.project([feature], {"bot": [[lazy], [bot]]})
    await project.completes()
    assert (await project.features())["bot"].attempts == 1
