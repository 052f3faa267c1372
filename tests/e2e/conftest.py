"""One worker for all tests that disturb neither it nor the servers."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from client.api import Shiftwork
from tests.e2e.lab import Lab
from tests.e2e.support import WorkerProcess, quick_environment, quick_settings, worker_process


@pytest.fixture(scope="session")
def shared_worker(stack) -> Iterator[WorkerProcess]:
    """A worker of the shared stack."""
    with worker_process(quick_environment(stack.state), stack.state / "worker.log") as worker:
        yield worker


@pytest_asyncio.fixture
async def lab(stack, shared_worker, tmp_path: Path) -> AsyncIterator[Lab]:
    """Where a test makes its projects."""
    settings = quick_settings(stack.state)
    async with Shiftwork(settings) as shiftwork:
        yield Lab(shiftwork, settings, tmp_path)
