"""The harness as a Python object, synchronous and asynchronous, against real servers and a real worker."""

import asyncio
import threading
import uuid
from pathlib import Path

import pytest

from client import LongRunningHarness, ShiftworkError, SyncLongRunningHarness
from shiftwork.errors import Conflict, InvalidInput, NotFound
from tests.e2e.support import (
    git,
    quick_settings,
    scripted,
    simple_attempt,
    simple_feature,
    write_cassette,
)

MINIMAL = Path(__file__).parents[2] / "examples" / "minimal"
STATUS_KEYS = {
    *("project_id", "name", "status", "total_features", "passing_features", "progress_percent"),
    *("feature_breakdown", "recent_progress"),
}


@pytest.fixture
def settings(stack, shared_worker):
    """A stack with a worker."""
    return quick_settings(stack.state)


def unique(name: str) -> str:
    """A name that no project of another test has."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


class Recorder:
    """What `on_progress` was told, and in which threads."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict]] = []
        self.threads: set[int] = set()

    def __call__(self, event: str, facts: dict) -> None:
        self.events.append((event, facts))
        self.threads.add(threading.get_ident())

    @property
    def names(self) -> list[str]:
        return [event for event, _ in self.events]


def test_a_project_from_its_description_to_its_report(settings, tmp_path):
    """If it failed, a program could not run a project by the promised methods."""
    told = Recorder()
    harness = SyncLongRunningHarness(
        on_progress=told,
        agent="scripted",
        agent_settings={"cassette": MINIMAL / "cassette.yml"},
        settings=settings,
    )
    repository = tmp_path / "tally"
    project_id = harness.create_project(
        name=unique("tally"),
        description=(MINIMAL / "spec.md").read_text(),
        working_directory=repository,
    )
    assert told.names[0] == "project_created"
    assert [n for n in told.names if n.startswith("session_")] == ["session_starting", "session_complete"]

    status = harness.get_project_status(project_id)
    assert set(status) >= STATUS_KEYS
    assert (status["total_features"], status["passing_features"]) == (3, 0)

    first = harness.run_session(project_id)
    assert (first["number"], first["outcome"]) == (1, "failed")
    assert told.names[-1] == "session_complete"

    result = harness.run_until_complete(project_id, max_sessions=50)
    assert result == {
        "status": "completed",
        "reason": "",
        "sessions_run": 3,
        "features_passing": 3,
        "total_features": 3,
    }
    assert told.names[-1] == "completed"
    assert told.names.count("session_starting") == told.names.count("session_complete") == 5
    assert told.threads == {threading.get_ident()}

    [decision] = harness.get_decision_history(project_id)
    harness.add_decision_feedback(decision["id"], "success", 3.0, "Ask what a reader sees.")
    [decision] = harness.get_decision_history(project_id, limit=1)
    assert (decision["outcome"], decision["score"], decision["lesson"]) == (
        "success",
        1.0,
        "Ask what a reader sees.",
    )

    report = harness.export_project_report(project_id)
    assert [feature["status"] for feature in report["features"]] == ["passing"] * 3
    checkpoint = report["checkpoints"][0]
    assert checkpoint["passing"] == ["count words"]

    # A completed project can be taken back, and is finished again.
    reverted = harness.revert_to_checkpoint(project_id, checkpoint["commit"])
    assert reverted["passing"] == [report["features"][0]["id"]]
    again = harness.run_until_complete(project_id)
    assert (again["status"], again["features_passing"]) == ("completed", 3)
    subjects = git(repository, "log", "--format=%s", "main").splitlines()
    assert subjects.count("readme") == 2
    harness.close()
    with pytest.raises(RuntimeError, match="closed"):
        harness.get_project_status(project_id)


async def test_pause_resume_and_abandon(settings, tmp_path):
    """If it failed, work in progress would be lost by a pause, or an abandoned project would go on."""
    cassette = write_cassette(
        tmp_path / "cassette.yml",
        [simple_feature("quick", priority=9), simple_feature("slow")],
        {
            "quick": [
                simple_attempt("quick", {"handoff": {"last_action": "a", "recommended_next_action": "b"}})
            ],
            "slow": [[{"write": {"path": "slow.txt", "content": "half"}}, "hang"]],
        },
    )
    working = asyncio.Event()

    async def on_progress(event: str, facts: dict) -> None:
        if event == "session_starting" and facts["feature"] == "slow":
            working.set()

    harness = LongRunningHarness(
        agent_settings={"cassette": str(cassette)}, on_progress=on_progress, settings=settings
    )
    async with harness:
        project_id = await harness.create_project(unique("slow"), "Two files.", tmp_path / "repository")
        running = asyncio.ensure_future(harness.run_until_complete(project_id))
        await asyncio.wait_for(working.wait(), 150)
        workspaces = settings.projects / project_id / "workspaces"
        async with asyncio.timeout(150):
            while True:
                if any(workspaces.glob("*/files/slow.txt")):
                    break
                await asyncio.sleep(0.05)
        await harness.pause_project(project_id, at_once=True, reason="lunch")
        result = await asyncio.wait_for(running, 150)
        assert (result["status"], result["reason"], result["features_passing"]) == ("paused", "lunch", 1)

        resumed = await harness.resume_project(project_id)
        info = resumed["recovery_info"]
        assert resumed["status"] == "active"
        assert (info["reason"], info["in_progress"]) == ("lunch", ["slow"])
        assert set(info["kept_work"]) == {"slow"}
        assert info["last_session"] == 2

        await harness.abandon_project(project_id, "we bought one")
        status = await harness.get_project_status(project_id)
        assert (status["status"], status["reason"]) == ("abandoned", "we bought one")
        with pytest.raises(Conflict, match="abandoned"):
            await harness.resume_project(project_id)


async def test_a_rest_on_its_way_is_not_the_end(settings):
    """If it failed, a call made right after another would return at once, with nothing done."""
    async with LongRunningHarness(
        agent_settings={"cassette": MINIMAL / "cassette.yml"}, settings=settings
    ) as harness:
        project_id = await harness.create_project(unique("twice"), "Count words.")
        for _ in range(3):
            # Goes on, and pauses again at once: one session at a time.
            await harness.resume_project(project_id)
        result = await harness.run_until_complete(project_id)
    assert result["status"] == "completed"


async def test_what_on_progress_raises_ends_the_call(settings, tmp_path):
    """If it failed, a program's own mistake would be swallowed, or would take the harness down with it."""

    async def fail(event: str, facts: dict) -> None:
        raise LookupError(event)

    async with LongRunningHarness(
        agent_settings={"cassette": MINIMAL / "cassette.yml"}, on_progress=fail, settings=settings
    ) as harness:
        name = unique("mistaken")
        with pytest.raises(LookupError, match="project_created"):
            await harness.create_project(name, "Count words.")
        assert (await harness.get_project_status(name))["name"] == name


def test_progress_may_use_the_harness_again(settings):
    """If it failed, a callback that asks for the status would hang the program."""
    seen = []

    def on_progress(event: str, facts: dict) -> None:
        if event == "planned":
            seen.append(harness.get_project_status(facts["project_id"])["total_features"])

    with SyncLongRunningHarness(
        agent_settings={"cassette": MINIMAL / "cassette.yml"}, on_progress=on_progress, settings=settings
    ) as harness:
        project_id = harness.create_project(unique("asking"), "Count words.")
        manager = harness.project_manager
        assert manager.get_next_feature_to_work_on(project_id).name == "count words"
    assert seen == [3]


def test_options_reach_the_project(settings, tmp_path):
    """If it failed, a budget or a limit that a program sets would not hold."""
    cassette = write_cassette(tmp_path / "c.yml", [simple_feature("x")], {"x": [[{"say": "no"}]]})
    options = scripted(cassette, max_attempts=2)
    with SyncLongRunningHarness(
        options=options, agent_settings={"cassette": cassette}, settings=settings
    ) as harness:
        project_id = harness.create_project(unique("blocked"), "One file.")
        result = harness.run_until_complete(project_id)
    assert (result["status"], result["sessions_run"]) == ("paused", 2)
    assert result["reason"].startswith("nothing is ready: 'x' blocked")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"tools": [object()]}, r"tools\[0\] is an object of type 'object'"),
        ({"chat_model": object()}, "chat_model is an object"),
        ({"sub_agents": {"cooking": "a:b"}}, "'cooking' is not known; known are: functional"),
    ],
)
def test_what_can_not_cross_processes_is_refused_by_name(arguments, sentence):
    """If it failed, a program would learn days later that its tools were never used."""
    before = threading.active_count()
    with pytest.raises(InvalidInput, match=sentence):
        SyncLongRunningHarness(**arguments)
    assert threading.active_count() == before


def test_mistakes_are_told_in_one_sentence(settings, tmp_path):
    """If it failed, a wrong name, backend or cassette would be a traceback of something inside."""
    with SyncLongRunningHarness(settings=settings, chat_model="models:claude") as harness:
        with pytest.raises(NotFound, match="nonsense"):
            harness.get_project_status("nonsense")
        with pytest.raises(NotFound):
            harness.add_decision_feedback(2**40, "success")
        with pytest.raises(InvalidInput, match="the module 'models' was not found"):
            harness.create_project(unique("none"), "x")
    harness = SyncLongRunningHarness(settings=settings)
    with harness, pytest.raises(InvalidInput, match="cassette"):
        harness.create_project(unique("none"), "x")
    with pytest.raises(ShiftworkError, match="No stack is running"):
        SyncLongRunningHarness(settings=quick_settings(tmp_path)).get_project_status("x")
