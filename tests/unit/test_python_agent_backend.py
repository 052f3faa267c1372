"""The backend `python`: code as the agent of a session."""

import json
from pathlib import Path
from typing import Any

import pytest

from shiftwork.agents.brief import BriefRequest, FeatureBrief, ProjectBrief, write_brief
from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.agents.outbox import read_outbox
from shiftwork.agents.protocol import AgentRequest
from shiftwork.agents.registry import find_backend
from shiftwork.agents.run import AgentEnd, run_agent_process
from shiftwork.contracts.outbox import Handoff
from shiftwork.contracts.sandbox import SandboxOptions
from shiftwork.contracts.session import FailureKind, InterruptionReason, RunStatus
from shiftwork.errors import InvalidInput
from shiftwork.sandbox.cell import OUTBOX, TMP, WORKSPACE, make_cell
from shiftwork.sandbox.choose import choose_sandbox
from shiftwork.sandbox.confinement import Bind
from shiftwork.sandbox.user import choose_user, hand_over

BACKEND = find_backend("python")


async def run(folder: Path, **settings: Any) -> tuple[AgentEnd, list[AgentEvent]]:
    """A session whose predecessor left something, in which the code is told "hello"."""
    workspace, outbox, brief = (folder / name for name in ("workspace", "outbox", "brief"))
    workspace.mkdir()
    outbox.mkdir()
    project = ProjectBrief(id="p", name="Project")
    left = Handoff(state={"count": 1}, summary="begun")
    feature = FeatureBrief(id=1, name="f")
    write_brief(brief, BriefRequest(project=project, session=2, feature=feature, handoff=left))
    request = AgentRequest(workspace, "hello", brief=brief, outbox=outbox, settings=settings)
    events: list[AgentEvent] = []

    async def listen(event: AgentEvent) -> None:
        events.append(event)

    end = await run_agent_process(
        BACKEND,
        request,
        env={"HOME": str(folder)},
        sandbox=choose_sandbox(),
        timeout=30,
        on_event=listen,
    )
    return end, events


async def test_a_session_by_code(tmp_path):
    """If it failed, code could not do a feature of a project."""
    code = """
from pathlib import Path
import json, os
Path("made.txt").write_text(parameters["text"])
print(instruction, handoff.state, handoff.summary)
print(json.load(open(os.environ["SHIFTWORK_BRIEF"] + "/request.json"))["feature"]["name"])
save_handoff(state={"count": handoff.state["count"] + 1}, summary="done")
"""
    end, events = await run(tmp_path, code=code, parameters={"text": "x"})
    assert end.status is RunStatus.COMPLETED, end
    assert [event.text for event in events] == ["hello {'count': 1} begun", "f", ""]
    assert (tmp_path / "workspace" / "made.txt").read_text() == "x"
    left = read_outbox(tmp_path / "outbox").handoff
    assert left == Handoff(state={"count": 2}, summary="done")


async def test_its_progress_is_among_what_it_says(tmp_path):
    """If it failed, code that tells its progress would fail in a session, or nobody would see it there."""
    end, events = await run(tmp_path, code="progress(0.5)\nprogress('a\\nb')\nprogress({'kind': 'question'})")
    assert end.status is RunStatus.COMPLETED, end
    said = ["progress: 0.5", 'progress: "a\\nb"', 'progress: {"kind": "question"}', ""]
    assert [event.text for event in events] == said
    assert not (tmp_path / "outbox" / "progress.json").exists()


async def test_its_progress_is_none_of_what_the_code_collects(tmp_path):
    """If it failed, progress would stand among the output that code collects of its own functions."""
    code = """
import contextlib, io, sys
with contextlib.redirect_stdout(io.StringIO()) as collected:
    print("inner"); progress(1)
print(repr(collected.getvalue()))
sys.__stdout__.close()
progress(2)
"""
    end, events = await run(tmp_path, code=code)
    assert end.status is RunStatus.COMPLETED, end
    assert [event.text for event in events] == ["progress: 1", r"'inner\n'", ""]


async def test_an_exception_is_why_a_session_failed(tmp_path):
    """If it failed, the next attempt would not be told what the last one died of."""
    (tmp_path / "agent.py").write_text("print('going')\n1 / 0")
    end, _ = await run(tmp_path, file=str(tmp_path / "agent.py"))
    assert end.failure is not None
    assert end.failure.kind is FailureKind.AGENT_FAILED
    assert end.message == "ZeroDivisionError: division by zero"
    assert 'File "agent.py", line 2' in end.stderr_tail


async def test_code_can_speak_in_events(tmp_path):
    """If it failed, code could neither ask a person nor tell what it spends."""
    said = [
        {"kind": "usage", "input_tokens": 3},
        {"kind": "question", "text": "Which colour?"},
    ]
    end, events = await run(tmp_path, code="\n".join(f"print({json.dumps(one)!r})" for one in said))
    assert end.reason is InterruptionReason.QUESTION
    assert events[0].kind is AgentEventKind.USAGE


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "either 'code', the text of the program, or 'file'"),
        ({"code": "pass", "file": "/x"}, "either 'code'"),
        ({"code": "  "}, "has no code"),
        ({"file": "x.py"}, "'file'"),
        ({"file": "/no/such/file"}, "can't be read"),
        ({"code": "pass", "program": "python2"}, "no use for the setting 'program'"),
        ({"code": "pass", "arguments": ["-v"]}, "no use for the setting 'arguments'"),
        ({"code": "pass", "parameters": {"a": [1e999]}}, "parameters"),
        ({"code": "pass", "speed": 3}, "no setting 'speed'"),
    ],
)
def test_wrong_settings_are_refused(settings, sentence):
    """If it failed, a mistake would be found by the first session, in the background."""
    with pytest.raises(InvalidInput, match=sentence):
        BACKEND.check(settings)


def test_a_file_that_is_too_long_or_no_text(tmp_path):
    """If it failed, a wrong path could fill the worker's memory, or be an error of ours."""
    file = tmp_path / "agent.py"
    file.write_bytes(b"#" * 1_000_001)
    with pytest.raises(InvalidInput, match="may take 1,000,000"):
        BACKEND.check({"file": str(file)})
    file.write_bytes(b"\xff")
    with pytest.raises(InvalidInput, match="can't be read"):
        BACKEND.check({"file": str(file)})


def test_diagnosis(tmp_path):
    """If it failed, `shiftwork doctor` would promise code that is not there."""
    assert BACKEND.diagnose({}).usable
    assert "can't be read" in BACKEND.diagnose({"file": str(tmp_path / "none.py")}).problems[0]
    assert BACKEND.provider({"code": "pass"}) is None


async def test_a_confined_session_by_code(tmp_path):
    """If it failed, code could do sessions only where nothing confines it."""
    tmp_path.chmod(0o755)
    sandbox, folders = choose_sandbox(), [tmp_path / name for name in ("workspace", "outbox", "scratch")]
    user = choose_user(tmp_path, namespaces=sandbox.own_network)
    for folder in folders:
        folder.mkdir()
        if user is not None:
            hand_over(folder, user)
    targets = (WORKSPACE, OUTBOX, TMP)
    binds = [Bind(folder, target, writable=True) for folder, target in zip(folders, targets, strict=True)]
    cell = make_cell(sandbox, SandboxOptions(), binds, user=user)
    code = "import os; print(os.getcwd()); save_handoff(summary='done'); print(os.path.exists(instruction))"
    request = AgentRequest(
        folders[0], str(tmp_path), outbox=folders[1], settings={"code": code}, binds=cell.binds
    )
    events: list[AgentEvent] = []

    async def listen(event: AgentEvent) -> None:
        events.append(event)

    end = await run_agent_process(
        BACKEND,
        request,
        env={"HOME": str(cell.seen(folders[2]))},
        sandbox=sandbox,
        timeout=30,
        on_event=listen,
        confinement=cell.confinement,
    )
    assert end.status is RunStatus.COMPLETED, end
    assert events[0].text == str(cell.seen(folders[0]))
    assert read_outbox(folders[1]).handoff == Handoff(summary="done")
    if sandbox.moves_binds:
        assert events[1].text == "False"
