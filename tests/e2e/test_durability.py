"""Kill anything at any moment: the result equals the undisturbed run."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from client.api import Shiftwork
from shiftwork.stack.dev import DevStack
from tests.e2e.support import (
    assert_nothing_left,
    git,
    quick_environment,
    quick_settings,
    scripted,
    simple_attempt,
    simple_feature,
    until,
    worker_process,
    write_cassette,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

KILLS = int(os.environ.get("SHIFTWORK_TEST_KILLS", "10"))
SEED = int(os.environ.get("SHIFTWORK_TEST_SEED", "20260101"))
"""A soak asks for more kills, and other moments."""


def cassette(path: Path) -> Path:
    """Eight features; some fail first, crash, leave daemons, and report what must be counted once."""
    names = [f"f{n}" for n in range(8)]
    features = [simple_feature("f0", priority=10)]
    features += [simple_feature(name, "f0", priority=9 - n) for n, name in enumerate(names[1:])]
    notes = [
        {"decision": {"decision": "use files", "reasoning": "simple", "tags": ["storage"]}},
        {"progress": {"action": "wrote a file"}},
        {"usage": {"input_tokens": 100, "output_tokens": 10, "cost_usd": 0.01}},
        {"spawn": "trap '' TERM; sleep 300"},
        {"sleep": 0.4},
    ]
    sessions = {name: [simple_attempt(name, *notes)] for name in names}
    sessions["f2"].insert(0, [{"say": "done!"}, {"sleep": 0.2}])
    sessions["f3"].insert(0, [{"write": {"path": "f3.txt", "content": "half"}}, {"exit": 1}])
    sessions["f5"].insert(0, [{"write": {"path": "f0.txt", "content": "broken"}}, {"sleep": 0.2}])
    return write_cassette(path, features, sessions)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dev(tmp_path_factory):
    """Servers of this module's own, which its tests may kill."""
    state = tmp_path_factory.mktemp("durable")
    settings = quick_settings(state)
    async with DevStack(settings):
        yield state, settings


def kill_program(folder: Path) -> None:
    """SIGKILL the server whose data lies in this folder."""
    for process in psutil.process_iter():
        try:
            argv = process.cmdline()
        except psutil.Error:
            continue
        name = Path(argv[0]).name if argv else ""
        if name in ("postgres", "temporal") and any(str(folder) in argument for argument in argv):
            process.kill()
            return
    raise AssertionError(f"no server runs in {folder}")


async def outcome(shiftwork: Shiftwork, project_id: str) -> dict:
    """What must be the same however often anything was killed."""
    project = await shiftwork.find(project_id)
    async with shiftwork.store.transaction() as tx:
        features = await tx.features.list(project_id)
        sessions = await tx.sessions.list(project_id)
        progress = await tx.progress.list(project_id, limit=1000)
        decisions = await tx.decisions.history(project_id, limit=1000)
        checkpoints = await tx.checkpoints.list(project_id, limit=1000)
    landed = git(
        project.repository, "log", "--format=%(trailers:key=Shiftwork-Feature,valueonly)", "main"
    ).split()
    return {
        "status": project.status,
        "features": {f.name: (f.status, f.attempts, f.runs) for f in features},
        "landings": Counter(landed),
        "sessions": Counter((s.feature_id is not None, s.outcome) for s in sessions),
        "progress": len(progress),
        "decisions": len(decisions),
        "checkpoints": len(checkpoints),
        "tree": git(project.repository, "rev-parse", "main^{tree}"),
    }


async def run(dev, tmp_path: Path, parallel: int, disturb=None) -> dict:
    """Run the cassette to its end, beside `disturb(worker)` which must finish; what came of it."""
    state, settings = dev
    path = cassette(tmp_path / "cassette.yml")
    async with Shiftwork(settings) as shiftwork:
        with worker_process(quick_environment(state), state / "worker.log") as worker:
            project_id = await shiftwork.start(
                f"p{random.getrandbits(40):x}",
                "Write eight files.",
                repository=tmp_path / f"repo-{random.getrandbits(40):x}",
                # Whatever kills workers here, it is not the agents: nobody is to be asked.
                options=scripted(path, max_parallel=parallel, retry={"maximum_lost_workers": 0}),
            )
            await until(shiftwork, project_id, "attempt_started")
            disturbing = asyncio.ensure_future(disturb(worker)) if disturb else None
            async with asyncio.timeout(180):
                status = await shiftwork.wait(project_id)
            assert status["status"] == "completed", status
            if disturbing is not None:
                done = await asyncio.wait_for(disturbing, 150)
                assert done
            result = await outcome(shiftwork, project_id)
            await assert_nothing_left(state, project_id)
            return result


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def undisturbed(dev, tmp_path_factory) -> Callable[[int], Awaitable[dict]]:
    """What comes of it when nothing is killed, for so many sessions at a time; each is run once."""
    outcomes: dict[int, dict] = {}

    async def once(parallel: int) -> dict:
        if parallel not in outcomes:
            outcomes[parallel] = await run(dev, tmp_path_factory.mktemp("undisturbed"), parallel)
            assert set(outcomes[parallel]["landings"].values()) == {1}
        return outcomes[parallel]

    return once


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("parallel", [1, 3])
async def test_ten_kills_of_the_worker_change_nothing(dev, undisturbed, tmp_path, parallel) -> None:
    """A lost worker must neither lose work nor do any of it twice."""
    chance = random.Random(SEED + parallel)

    async def kill_often(worker) -> int:
        for _ in range(KILLS):
            # From before the worker is ready to well into sessions.
            await asyncio.sleep(chance.uniform(0.8, 3.0))
            worker.kill()
            worker.start()
        return KILLS

    assert await run(dev, tmp_path, parallel, kill_often) == await undisturbed(parallel)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_worker_that_was_stopped_and_goes_on_changes_nothing(dev, undisturbed, tmp_path) -> None:
    """A worker that wakes up when another does its work must neither write beside that nor undo it."""
    state, _ = dev

    async def pause_often(worker) -> bool:
        for _ in range(2):
            await asyncio.sleep(1.5)
            worker.pause()
            with worker_process(quick_environment(state), state / "other.log"):
                await asyncio.sleep(7)  # longer than a heartbeat may take, so that the other takes over
                worker.resume()
                await asyncio.sleep(1)
        return True

    assert await run(dev, tmp_path, 1, pause_often) == await undisturbed(1)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("server", ["temporal", "postgres"])
async def test_a_killed_server_changes_nothing(dev, undisturbed, tmp_path, server) -> None:
    """The servers come back on the same port with their data, and the project goes on."""

    async def kill_server(worker) -> bool:
        await asyncio.sleep(2.0)
        kill_program(dev[0] / server)
        return True

    assert await run(dev, tmp_path, 1, kill_server) == await undisturbed(1)
