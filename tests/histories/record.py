"""Records the histories that `tests/e2e/test_replay.py` replays: `python -m tests.histories.record [NAME…]`.

Of each scenario the histories of its project and of one session are kept, and those of the runs in `runs.py`,
without what belongs to the machine; with names, of these alone. Record again only before a release whose
workflows no running project has seen: a history that can't be replayed any more is a project that a new
version would break.
"""

import asyncio
import contextlib
import json
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHistory

from client.api import Shiftwork
from shiftwork.contracts.feature import FeatureEdit, FeatureSpec
from shiftwork.errors import ShiftworkError
from shiftwork.stack.dev import DevStack
from tests.e2e.lab import Lab, Project
from tests.e2e.support import (
    WorkerProcess,
    quick_environment,
    quick_settings,
    simple_attempt,
    simple_feature,
    worker_process,
)
from tests.histories.runs import RUNS, Run

FOLDER = Path(__file__).parent

Scenario = Callable[[Lab], Awaitable[Project]]

SLOW = {"run": {"command": '[ -e "$SHIFTWORK_BRIEF/kept.patch" ] || sleep 60'}}
HALF = {"write": {"path": "half.txt", "content": "half\n"}}


async def completed(lab: Lab) -> Project:
    """Planned; one attempt fails, one crashes, then all passes."""
    attempts = [[{"say": "done!"}], [{"exit": 1}], simple_attempt("a")]
    features = [simple_feature("a"), simple_feature("b", "a")]
    project = await lab.project(features, {"a": attempts}, planned=False)
    await project.completes()
    return project


async def paused(lab: Lab) -> Project:
    """Paused after a session and resumed; paused at once, in the middle of an agent, and resumed."""
    features = [simple_feature("a"), simple_feature("b", "a")]
    sessions = {"a": [simple_attempt("a", {"sleep": 0.5})], "b": [simple_attempt("b", HALF, lab.here, SLOW)]}
    project = await lab.project(features, sessions)
    await project.event("attempt_started")
    await lab.shiftwork.pause(project.id, reason="lunch")
    await project.pauses()
    await lab.shiftwork.resume(project.id)
    await lab.reached()
    after = await project.now()
    await lab.shiftwork.pause(project.id, mode="at_once")
    await project.pauses(after)
    after = await project.now()
    await lab.shiftwork.resume(project.id)
    await project.completes(after)
    return project


async def abandoned(lab: Lab) -> Project:
    """Abandoned in the middle of an agent."""
    project = await lab.project(sessions={"a": [[HALF, "hang"]]})
    await project.event("attempt_started")
    await lab.shiftwork.abandon(project.id, "no longer needed")
    await project.rest()
    return project


async def cancelled(lab: Lab) -> Project:
    """Cancelled by Temporal's own means."""
    project = await lab.project(sessions={"a": [[HALF, "hang"]]})
    await project.event("attempt_started")
    await (await project.workflow()).cancel()
    await project.rest()
    return project


async def reverted(lab: Lab) -> Project:
    """Reverted in the middle of a session; and a revert that is refused."""
    features = [simple_feature("a"), simple_feature("b", "a")]
    project = await lab.project(
        features, {"b": [simple_attempt("b", HALF, lab.here, SLOW), simple_attempt("b")]}
    )
    await lab.reached()
    [landed] = await project.events("landed")
    await lab.shiftwork.revert(project.id, landed.reference.removeprefix("commit:"))
    with contextlib.suppress(ShiftworkError):
        await lab.shiftwork.revert(project.id, "0123456789")
    await lab.shiftwork.abandon(project.id)
    await project.rest()
    return project


async def parallel(lab: Lab) -> Project:
    """Three sessions at once, whose landings move main under one another."""
    features = [simple_feature(name) for name in "abc"]
    project = await lab.project(features, max_parallel=3)
    await project.completes()
    return project


async def continued(lab: Lab) -> Project:
    """A project that goes on in new histories, two sessions at once."""
    features = [simple_feature(name) for name in "abcd"]
    project = await lab.project(features, start=False, max_parallel=2)
    await project.start(history_limit=15)
    await project.completes()
    return project


async def talked(lab: Lab) -> Project:
    """A question, an answer, guidance, features, budgets, sessions one at a time, a rate limit."""
    asking = [[HALF, {"ask": "Which?"}], [{"rate_limit": 0.3}], simple_attempt("a")]
    sessions = {"a": asking, "b": [simple_attempt("b")]}
    project = await lab.project([simple_feature("a")], sessions, autorun=False, budget_usd=5)
    talk = lab.shiftwork
    await project.pauses()
    number = await talk.run_session(project.id, "a")
    await talk.wait_session(project.id, number)
    await talk.steer(project.id, "Be brief.")
    await talk.answer(project.id, "a", "The first.")
    vague = FeatureSpec(name="b", depends_on=("a",), verification_steps=("it looks nice",))
    await talk.add_feature(project.id, vague)
    steps = FeatureSpec.model_validate(simple_feature("b")).verification_steps
    await talk.edit_feature(project.id, FeatureEdit(feature="b", verification_steps=steps))
    await talk.set_budget(project.id, 10)
    after = await project.now()
    await talk.resume(project.id, autorun=True)
    await project.completes(after)
    return project


async def imported(lab: Lab) -> Project:
    """A person's commit that breaks a feature, which is mended."""
    project = await lab.project([simple_feature("a"), simple_feature("b")], max_sessions=1)
    await project.pauses()
    project.people_commit({"a.txt": "mine\n"})
    after = await project.now()
    await lab.shiftwork.resume(project.id, max_sessions=9)
    await project.completes(after)
    return project


SCENARIOS: tuple[Scenario, ...] = (
    *(completed, paused, abandoned, cancelled, reverted),
    *(parallel, continued, talked, imported),
)

_DROPPED = {
    "requestId",
    "taskId",
    "identity",
    "workerVersion",
    "meteringMetadata",
    "userMetadata",
    "stackTrace",
    "originalExecutionRunId",
    "namespaceId",
    "links",
    "priority",
    "header",
}
"""What a replay does not read."""


async def keep(scenario: Scenario, lab: Lab) -> None:
    """Run a scenario and write the histories of its project and of its longest session."""
    project = await scenario(lab)
    await asyncio.sleep(1)  # the last workflow task
    found = await project.histories()
    projects = [h for h in found if "-session-" not in h.workflow_id]
    longest = max((h for h in found if "-session-" in h.workflow_id), key=lambda h: len(h.events))
    for index, history in enumerate(projects):
        suffix = f"-{index + 1}" if len(projects) > 1 else ""
        write(FOLDER / f"{scenario.__name__}-project{suffix}.json", history, lab)
    write(FOLDER / f"{scenario.__name__}-session.json", longest, lab)


def write(path: Path, history: WorkflowHistory, lab: Lab) -> None:
    """Write a history, one event a line."""
    for event in history.events:
        _scrub(event, str(lab.folder).encode())
    events = _slim(json.loads(history.to_json()))["events"]
    lines = ",\n".join(json.dumps(event, separators=(",", ":"), sort_keys=True) for event in events)
    path.write_text(f'{{"workflow_id":"{history.workflow_id}","events":[\n{lines}\n]}}\n')


def _scrub(message: Any, folder: bytes) -> None:
    """Take the machine's own paths and names out of every payload and queue."""
    for field, value in message.ListFields():
        if field.message_type and field.message_type.GetOptions().map_entry:
            for item in value.values():
                if hasattr(item, "ListFields"):
                    _scrub(item, folder)
        elif field.message_type:
            for item in value if hasattr(value, "append") or hasattr(value, "add") else [value]:
                _scrub(item, folder)
        elif field.name == "data" and isinstance(value, bytes):
            message.data = value.replace(folder, b"/projects")
        elif field.name == "name" and isinstance(value, str) and re.fullmatch(r"\d+@\S+", value):
            message.name = "sticky"


def _slim(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _slim(item) for key, item in value.items() if key not in _DROPPED}
    if isinstance(value, list):
        return [_slim(item) for item in value]
    return value


async def keep_run(run: Run, lab: Lab, worker: WorkerProcess) -> None:
    """Have something run, and write its histories."""
    for suffix, history in (await run(lab, worker)).items():
        write(FOLDER / f"{run.__name__}-{suffix}.json", history, lab)


async def main(*names: str) -> None:
    """Record the scenarios and runs of these names; every one if there are none."""
    scenarios = [each for each in SCENARIOS if not names or each.__name__ in names]
    runs = [each for each in RUNS if not names or each.__name__ in names]
    for old in FOLDER.glob("*.json"):
        if old.stem.split("-")[0] in {each.__name__ for each in (*scenarios, *runs)}:
            old.unlink()
    with tempfile.TemporaryDirectory() as name:
        state = Path(name) / "state"
        plain = {"SHIFTWORK_CODEC": "off"}  # what belongs to the machine could not be taken out otherwise
        settings = quick_settings(state, **plain)
        async with DevStack(settings):
            with worker_process(quick_environment(state, **plain), Path(name) / "worker.log") as worker:
                async with Shiftwork(settings) as shiftwork:
                    for scenario in scenarios:
                        folder = Path(name) / scenario.__name__
                        folder.mkdir()
                        await keep(scenario, Lab(shiftwork, settings, folder))
                    for run in runs:
                        await keep_run(run, Lab(shiftwork, settings, Path(name)), worker)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
