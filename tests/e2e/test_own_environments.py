"""Environments that people brought themselves: theirs may break, and nobody else is to blame for that."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest_asyncio

from shiftwork.contracts.episode import EpisodeErrorKind, EpisodeStatus, EvaluationSpec
from tests.e2e.lab import Lab
from tests.e2e.own_environments import install
from tests.e2e.support import WorkerProcess, quick_environment, worker_process


@pytest_asyncio.fixture
async def equipped(lab: Lab, shared_worker: WorkerProcess) -> AsyncIterator[Lab]:
    """A stack whose only worker has the package."""
    await asyncio.to_thread(shared_worker.stop)
    path = os.pathsep.join([str(install(lab.folder / "packages")), os.environ.get("PYTHONPATH", "")])
    environment = quick_environment(lab.settings.state, PYTHONPATH=path)
    try:
        with worker_process(environment, lab.folder / "worker.log"):
            yield lab
    finally:
        shared_worker.start()


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
