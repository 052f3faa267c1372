"""A provider of another package, installed beside Shiftwork as the documents say."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from shiftwork.contracts.task import TaskStatus
from tests.e2e.lab import Lab
from tests.e2e.support import WorkerProcess, quick_environment, worker_process
from tests.unit.docs_support import ROOT, scripts

ENTRY = re.compile(
    r"\[project\.entry-points\.\"(?P<group>[\w.]+)\"\]\n(?P<name>\w+) = \"(?P<value>[\w.:]+)\""
)


def installed(folder: Path) -> Path:
    """A folder of packages that holds the documents' own, as an installer would have left it."""
    (script,) = (each for each in scripts("docs/tasks.md") if each.name == "provider")
    entry = ENTRY.search((ROOT / "docs" / "tasks.md").read_text())
    assert entry is not None
    about = folder / "their_package-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / f"{entry['value'].partition(':')[0]}.py").write_text(script.code)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{entry['group']}]\n{entry['name']} = {entry['value']}\n")
    return folder


@pytest_asyncio.fixture
async def provided(lab: Lab, shared_worker: WorkerProcess) -> AsyncIterator[Lab]:
    """A stack whose only worker has the package."""
    await asyncio.to_thread(shared_worker.stop)
    packages = installed(lab.folder / "packages")
    environment = quick_environment(lab.settings.state, PYTHONPATH=str(packages))
    try:
        with worker_process(environment, lab.folder / "worker.log"):
            yield lab
    finally:
        shared_worker.start()


@pytest.mark.parametrize(
    ("instruction", "status", "said"),
    [("Ada", TaskStatus.COMPLETED, "Hello, Ada."), ("", TaskStatus.FAILED, "Whom?")],
    ids=["greets", "refuses"],
)
async def test_a_provider_of_the_documents_works(
    provided: Lab, instruction: str, status: TaskStatus, said: str
) -> None:
    """If it failed, whoever writes a provider as the documents show would have tasks that nothing runs."""
    task = await provided.shiftwork.create_task("greeter", instruction)
    await provided.shiftwork.start_task(task.id)
    ended = await asyncio.wait_for(provided.shiftwork.wait_task(task.id), 150)
    assert (ended.status, ended.result or ended.error) == (status, said)
    assert ended.trace["progress" if instruction else "auto_started_at"]
