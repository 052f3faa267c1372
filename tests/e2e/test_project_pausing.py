"""Pauses: after a session, in the middle of an agent, in the middle of a verification."""

import asyncio
import contextlib

from shiftwork.errors import Conflict
from tests.e2e.lab import SHOW_BRIEF, Lab, no_process_lives
from tests.e2e.support import git, simple_attempt, simple_feature


async def test_a_pause_lets_the_running_session_finish(lab: Lab) -> None:
    """A pause that cost the running session its work, or let another one start."""
    two = [simple_feature("a"), simple_feature("b", "a")]
    project = await lab.project(two, {"a": [simple_attempt("a", {"sleep": 0.5})]})
    await project.event("attempt_started")
    await lab.shiftwork.pause(project.id, reason="lunch")
    assert await project.pauses() == "lunch"
    assert await project.statuses() == {"a": "passing", "b": "not_started"}
    after = await project.now()
    await lab.shiftwork.resume(project.id)
    await project.completes(after)
    assert project.landings() == ["a", "b"]


async def test_a_pause_at_once_keeps_the_agents_work(lab: Lab) -> None:
    """Work of an interrupted agent that is lost, or an interruption that costs an attempt or a run."""
    first = [
        {"write": {"path": "half.txt", "content": "half done\n"}},
        lab.here,
        {"run": {"command": '[ -e "$SHIFTWORK_BRIEF/kept.patch" ] || sleep 60'}},
        SHOW_BRIEF,
        {"run": {"command": 'cp "$SHIFTWORK_BRIEF/kept.patch" .'}},
    ]
    project = await lab.project(sessions={"a": [simple_attempt("a", *first), [{"exit": 3}]]})
    await lab.reached()
    await lab.shiftwork.pause(project.id, mode="at_once")
    assert await project.pauses() == "paused by a person"
    feature = (await project.features())["a"]
    assert (feature.status, feature.attempts, feature.runs) == ("in_progress", 0, 0)
    assert feature.kept_commit is not None
    assert git(project.main, "show", f"{feature.kept_commit}:half.txt") == "half done"
    await no_process_lives(lab)

    after = await project.now()
    await lab.shiftwork.resume(project.id)
    await project.completes(after)
    assert "Work kept from an interrupted session" in project.brief()
    assert project.request()["kept_work"]["files"] == ["half.txt"]
    assert project.request()["run"] == 0
    assert "+half done" in project.read("kept.patch")
    feature = (await project.features())["a"]
    assert (feature.attempts, feature.kept_commit) == (0, None)


async def test_a_pause_during_verification_does_not_run_the_agent_again(lab: Lab, tmp_path) -> None:
    """A finished candidate that is thrown away because its verification was interrupted."""
    gate = tmp_path / "gate"
    slow = simple_feature("a", command=f"{lab.touch}; [ -e {gate} ] || sleep 60; grep -qx done a.txt")
    project = await lab.project([slow])
    await lab.reached()
    await lab.shiftwork.pause(project.id, mode="at_once")
    await project.pauses()
    feature = (await project.features())["a"]
    assert feature.candidate is not None
    assert (feature.status, feature.attempts) == ("in_progress", 0)
    await no_process_lives(lab)

    gate.touch()
    after = await project.now()
    await lab.shiftwork.resume(project.id)
    await project.completes(after)
    assert len(await project.events("attempt_started")) == 1
    assert project.landings() == ["a"]


async def test_pauses_at_any_moment_lose_no_landing(lab: Lab) -> None:
    """A pause that meets a landing half-way, and loses or doubles it."""
    names = ["a", "b", "c", "d"]
    project = await lab.project([simple_feature(name) for name in names], max_parallel=2)
    with contextlib.suppress(Conflict):  # it was quicker
        for delay in (0.05, 0.3, 0.45, 0.6, 0.75):
            await asyncio.sleep(delay)
            await lab.shiftwork.pause(project.id, mode="at_once")
            await lab.shiftwork.resume(project.id)
    await project.event("completed")  # not the next rest: the last resume may still be on its way
    assert sorted(project.landings()) == names
    assert {f.attempts for f in (await project.features()).values()} == {0}
