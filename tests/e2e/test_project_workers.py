"""Workers that are stopped, and a Temporal server that forgets everything."""

import asyncio

import pytest

from client.api import Shiftwork
from shiftwork.stack.dev import DevStack
from tests.e2e.lab import SHOW_BRIEF, Lab, no_process_lives
from tests.e2e.support import (
    WorkerProcess,
    processes_of,
    quick_environment,
    quick_settings,
    simple_attempt,
    simple_feature,
    worker_process,
)

UNTIL_RESUMED = [
    {"write": {"path": "half.txt", "content": "half\n"}},
    {"run": {"command": '[ -e "$SHIFTWORK_BRIEF/kept.patch" ] || sleep 60'}},
    SHOW_BRIEF,
]


async def test_a_stopped_worker_keeps_the_work_and_gives_the_task_back(
    lab: Lab, shared_worker: WorkerProcess
) -> None:
    """A deploy that costs an attempt, loses what an agent did, or leaves the agent running."""
    daemon = {"spawn": "trap '' TERM; sleep 300"}
    attempts = [simple_attempt("a", daemon, lab.here, *UNTIL_RESUMED), [{"exit": 3}]]
    project = await lab.project(sessions={"a": attempts})
    await lab.reached()
    assert await asyncio.to_thread(shared_worker.stop) == 0
    assert processes_of(lab.settings.state) == []
    shared_worker.start()
    await project.completes()
    request = project.request()
    assert (request["session"], request["attempt"], request["run"]) == (0, 2, 0)
    assert request["kept_work"]["files"] == ["half.txt"]
    feature = (await project.features())["a"]
    assert (feature.attempts, feature.runs) == (0, 1)
    await no_process_lives(lab)


async def test_a_stopped_worker_does_not_make_the_agent_run_again(
    lab: Lab, shared_worker: WorkerProcess
) -> None:
    """A finished agent that is paid for twice, because its verification met a deploy."""
    gate = lab.folder / "gate"
    slow = simple_feature("a", command=f"{lab.touch}; [ -e {gate} ] || sleep 60; grep -qx done a.txt")
    project = await lab.project([slow])
    await lab.reached()
    assert await asyncio.to_thread(shared_worker.stop) == 0
    assert processes_of(lab.settings.state) == []
    gate.touch()
    shared_worker.start()
    await project.completes()
    assert len(await project.events("attempt_started")) == 1
    assert (await project.features())["a"].attempts == 0


async def test_a_killed_worker_leaves_nothing_and_costs_nothing(
    lab: Lab, shared_worker: WorkerProcess
) -> None:
    """An agent that works on without a harness, or a crash of ours that an agent pays for."""
    daemon = {"spawn": "trap '' TERM; sleep 300"}
    gate = lab.folder / "gate"
    waits = {"run": {"command": f"{lab.touch}; [ -e {gate} ] || sleep 60"}}
    project = await lab.project(
        sessions={"a": [simple_attempt("a", daemon, waits, SHOW_BRIEF), [{"exit": 3}]]}
    )
    await lab.reached()
    shared_worker.kill()
    await no_process_lives(lab)
    gate.touch()
    shared_worker.start()
    await project.completes()
    request = project.request()
    assert (request["attempt"], request["run"]) == (2, 0)
    assert (await project.features())["a"].attempts == 0


async def test_a_session_that_loses_worker_after_worker_asks_a_person(
    lab: Lab, shared_worker: WorkerProcess
) -> None:
    """An agent that takes its worker down with it, and is paid for again and again all night."""
    gate = lab.folder / "gate"
    steps = (
        {"write": {"path": "half.txt", "content": "half\n"}},
        lab.here,
        {"run": {"command": f"[ -e {gate} ] || sleep 60"}},
    )
    attempts = [simple_attempt("a", *steps, SHOW_BRIEF)]
    project = await lab.project(sessions={"a": attempts}, retry={"maximum_lost_workers": 2})
    for _ in range(2):
        await lab.reached()
        shared_worker.kill()
        await no_process_lives(lab)
        shared_worker.start()
    assert "worker was lost" in await project.pauses()
    assert len(await project.events("attempt_started")) == 3
    gate.touch()
    now = await project.now()
    await lab.shiftwork.resume(project.id)
    await project.completes(now)
    assert project.request()["kept_work"]["files"] == ["half.txt"]
    assert (await project.features())["a"].attempts == 0


@pytest.mark.slow
async def test_a_project_outlives_temporals_store(tmp_path) -> None:
    """A project that is lost with Temporal's own database."""
    state = tmp_path / "state"
    settings = quick_settings(state)
    features = [simple_feature("a"), simple_feature("b", "a"), simple_feature("c", "b")]
    with worker_process(quick_environment(state), tmp_path / "worker.log") as worker:
        worker.kill()
        async with DevStack(settings), Shiftwork(settings) as shiftwork:
            worker.start()
            lab = Lab(shiftwork, settings, tmp_path)
            project = await lab.project(
                features, {"b": [[{"sleep": 60}], simple_attempt("b")]}, max_attempts=9
            )
            await project.event("attempt_started", "session:1")
            worker.kill()
        for path in (state / "temporal").glob("temporal.db*"):
            path.unlink()
        project.cassette.write_text(project.cassette.read_text().replace("- sleep: 60\n", "- sleep: 0\n"))
        async with DevStack(settings), Shiftwork(settings) as shiftwork:
            worker.start()
            project = type(project)(
                Lab(shiftwork, settings, tmp_path), project.id, project.repository, project.cassette
            )
            after = await project.now()
            await shiftwork.resume(project.id)
            await project.completes(after)
            assert project.landings() == ["a", "b", "c"]
            async with shiftwork.store.transaction() as tx:
                outcomes = {s.number: s.outcome for s in await tx.sessions.list(project.id)}
            assert outcomes == {0: "passed", 1: "interrupted", 2: "failed", 3: "passed", 4: "passed"}
            await no_process_lives(project.lab)
