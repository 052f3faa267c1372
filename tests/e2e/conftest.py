"""One worker for all tests that disturb neither it nor the servers."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from client.api import Shiftwork
from tests.e2e.lab import Lab
from tests.e2e.support import STEADY, WorkerProcess, quick_environment, quick_settings, worker_process

LAPSE = (
    "test_a_session_whose_worker_slept_goes_on",
    "test_a_stopped_worker_gives_its_tasks_back",
    "test_a_task_of_a_killed_worker_is_begun_anew",
    "test_a_task_that_costs_its_workers_is_given_up",
    "test_a_worker_that_slept_begins_its_task_anew",
    "test_killed_workers_change_no_trajectory",
)
"""The tests that wait until the server counts what a worker ran as lost; so it may count more."""


@pytest.fixture(scope="session")
def shared_worker(stack) -> Iterator[WorkerProcess]:
    """A worker of the shared stack."""
    with worker_process(quick_environment(stack.state, **STEADY), stack.state / "worker.log") as worker:
        yield worker


@pytest_asyncio.fixture
async def lab(request, stack, shared_worker, tmp_path: Path) -> AsyncIterator[Lab]:
    """Where a test makes its projects."""
    waits = request.node.originalname in LAPSE
    settings = quick_settings(stack.state, **({} if waits else STEADY))
    async with Shiftwork(settings) as shiftwork:
        yield Lab(shiftwork, settings, tmp_path)
