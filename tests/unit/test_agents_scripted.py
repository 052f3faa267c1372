"""Every kind of step, through the real process of the scripted agent."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from agents_support import play, steps
from process_support import living, token

from shiftwork.agents.events import AgentEventKind
from shiftwork.agents.outbox import read_outbox
from shiftwork.agents.registry import backends, find_backend
from shiftwork.agents.scripted import EventLines
from shiftwork.contracts.session import FailureKind, InterruptionReason, Role, RunStatus
from shiftwork.errors import CassetteError, InvalidInput


async def test_files(tmp_path):
    """Otherwise what the cassette says would not be what verification sees."""
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "old.txt").write_text("x")
    played = await play(
        tmp_path,
        steps(
            """
            write: {path: a/b.txt, content: "one two\\r\\n"}
            append: {path: a/b.txt, content: "three é\\n"}
            replace: {path: a/b.txt, old: two, new: "2"}
            append: {path: new/log, content: 12}
            write: {path: tool, content: "#!/bin/sh\\n", executable: true}
            write: {path: secret, content: "", mode: 0600}
            delete: old.txt
            delete: {path: new}
            """
        ),
    )
    assert played.end.status is RunStatus.COMPLETED, played.end.message
    assert (played.workspace / "a" / "b.txt").read_bytes() == "one 2\r\nthree é\n".encode()
    assert (played.workspace / "tool").stat().st_mode & 0o777 == 0o755
    assert (played.workspace / "secret").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in played.workspace.iterdir()) == ["a", "secret", "tool"]


async def test_words_and_notes(tmp_path):
    """Otherwise decisions, progress and hand-overs of the demo would be lost."""
    played = await play(
        tmp_path,
        steps(
            """
            say: 2024-01-01
            say: {text: hello}
            decision: {decision: Use SQLite, context: storage, reasoning: one file, tags: [db, file]}
            decision: keep it small
            progress: {action: wrote it, outcome: works, files_changed: [a.py]}
            progress: {action: again, files_changed: b.py}
            handoff: {summary: done, observations: [1, {k: true}], state: 2024-01-01, last_action: wrote}
            usage: {input_tokens: 1200, output_tokens: 300, cost_usd: 0.05}
            usage: {input_tokens: 1_000}
            """
        ),
    )
    assert played.kinds == ["started", "text", "text", "usage", "usage", "finished"]
    assert [event.text for event in played.of(AgentEventKind.TEXT)] == ["2024-01-01", "hello"]
    spent = [(e.input_tokens, e.output_tokens, e.cost_usd) for e in played.of(AgentEventKind.USAGE)]
    assert spent == [(1200, 300, 0.05), (1000, 0, None)]
    outbox = read_outbox(played.outbox)
    assert outbox.problems == ()
    assert [note.decision for note in outbox.decisions] == ["Use SQLite", "keep it small"]
    assert outbox.decisions[0].tags == ("db", "file")
    assert [note.files_changed for note in outbox.progress] == [("a.py",), ("b.py",)]
    assert outbox.handoff is not None
    assert (outbox.handoff.observations, outbox.handoff.state) == ([1, {"k": True}], "2024-01-01")


async def test_commands(tmp_path):
    """Otherwise a failing command of a cassette would end the session, or a background one hang it."""
    played = await play(
        tmp_path,
        steps(
            """
            run: echo out; echo err >&2; exit 3
            run: {command: "sleep 1000 & echo $0 $PWD $(python -c 'import sys; print(sys.prefix)')"}
            """
        ),
        timeout=250,
    )
    first, second = played.of(AgentEventKind.TOOL_RESULT)
    assert (first.ok, first.text, first.data) == (False, "out\nerr\n", {"status": 3})
    assert second.ok
    assert str(played.workspace) in second.text
    assert played.end.status is RunStatus.COMPLETED
    assert played.end.duration < 150


async def test_a_spawned_child_does_not_outlive_the_session(tmp_path):
    """Otherwise an agent could leave a process behind that writes into the world of the next session."""
    word = token()
    command = f"trap '' TERM HUP; echo > up; sleep {word}"
    played = await play(tmp_path, steps(f'spawn: "{command}"\nsleep: 0.2'))
    assert (played.workspace / "up").exists()
    assert played.end.status is RunStatus.COMPLETED
    assert living(word) == []


async def test_a_flood_is_survived(tmp_path):
    """Otherwise an agent that prints without end would hide its own end."""
    played = await play(tmp_path, steps("flood: 20\nsay: after"))
    assert played.end.status is RunStatus.COMPLETED
    assert played.kinds == ["started", "text", "finished"]
    assert len(played.end.stdout_tail) <= 16_000


async def test_a_question_interrupts(tmp_path):
    """Otherwise a question would cost an attempt, or the rest of the list be played without its answer."""
    played = await play(tmp_path, steps("ask: Which colour?\nsay: never"))
    assert played.end.status is RunStatus.INTERRUPTED
    assert played.end.reason is InterruptionReason.QUESTION
    assert played.end.failure is None
    assert played.of(AgentEventKind.QUESTION)[0].text == "Which colour?"
    assert read_outbox(played.outbox).question.question == "Which colour?"
    assert AgentEventKind.TEXT not in played.kinds


async def test_a_rate_limit_interrupts(tmp_path):
    """Otherwise a rate limit would cost an attempt, or the project would come back too early."""
    before = datetime.now(UTC)
    played = await play(tmp_path, steps("rate_limit: {seconds: 30}\nsay: never"))
    assert played.end.status is RunStatus.INTERRUPTED
    until = played.end.until
    assert before + timedelta(seconds=30) <= until <= datetime.now(UTC) + timedelta(seconds=30)
    assert played.end.reason is not InterruptionReason.QUESTION


@pytest.mark.parametrize("status", [0, 3])
async def test_exit_is_a_crash_whatever_the_status(tmp_path, status):
    """Otherwise an exit status would count as success, which every agent can fake."""
    played = await play(tmp_path, steps(f"say: x\nexit: {status}"))
    assert played.end.status is RunStatus.FAILED
    assert played.end.failure.kind is FailureKind.AGENT_CRASHED
    assert played.end.exit_status == status
    assert f"status {status}" in played.end.message


async def test_a_hang_ends_at_the_timeout(tmp_path):
    """Otherwise a session could last for ever."""
    played = await play(tmp_path, steps("hang:"), timeout=0.5)
    assert played.end.failure.kind is FailureKind.AGENT_TIMEOUT
    assert played.end.timed_out


@pytest.mark.parametrize("text", ["hang", "hang: {}", "sleep: 1000"])
async def test_a_hang_ends_at_a_stop(tmp_path, text):
    """Otherwise pausing at once would wait for the session's timeout."""
    stop = asyncio.Event()
    played = await play(tmp_path, steps(text), stop=stop, on_event=lambda _: stop.set())
    assert played.end.status is RunStatus.INTERRUPTED
    assert played.end.stopped
    assert played.end.failure is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("replace: {path: f, old: x, new: y}", "does not hold 'x'"),
        ("replace: {path: none, old: x, new: y}", "can't be read"),
        ("delete: none", "'none' does not exist"),
        ("write: {path: link/evil, content: x}", "leads out of the workspace"),
        ("append: {path: file, content: x}", "leads out of the workspace"),
        ("write: {path: f/below, content: x}", "f"),
    ],
)
async def test_what_can_not_be_done_fails_the_agent(tmp_path, text, sentence):
    """Otherwise a session would claim success for edits that never happened, or write outside its folder."""
    outside = tmp_path / "outside"
    outside.mkdir()
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "f").write_text("content")
    (workspace / "link").symlink_to(outside)
    (workspace / "file").symlink_to(outside / "file")
    played = await play(tmp_path, steps(text + "\nsay: never"))
    assert played.end.failure.kind is FailureKind.AGENT_FAILED
    assert sentence in played.end.message
    assert list(outside.iterdir()) == []
    assert played.of(AgentEventKind.TEXT) == []


async def test_deleting_a_link_leaves_its_target(tmp_path):
    """Otherwise a cassette could remove files outside the workspace."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("x")
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "link").symlink_to(outside)
    played = await play(tmp_path, steps("delete: link"))
    assert played.end.status is RunStatus.COMPLETED
    assert (outside / "file").exists()
    assert list(played.workspace.iterdir()) == []


@pytest.mark.parametrize(("run", "said"), [(0, "first"), (1, "second"), (7, "second")])
async def test_each_run_plays_its_entry_and_the_last_repeats(tmp_path, run, said):
    """Otherwise a feature that fails first and is fixed then would never be fixed."""
    cassette = "sessions:\n  a:\n    - - say: first\n    - steps:\n        - say: second\n"
    played = await play(tmp_path, cassette, run=run)
    assert [event.text for event in played.of(AgentEventKind.TEXT)] == [said]


async def test_an_unknown_feature_fails_by_name(tmp_path):
    """Otherwise a feature that the cassette forgot would count as done, or fail without a reason."""
    played = await play(tmp_path, steps("say: x"), feature="search by tag")
    assert played.end.failure.kind is FailureKind.AGENT_FAILED
    assert "'search by tag'" in played.end.message


@pytest.mark.parametrize("plan", ["plan:\n  features:\n    - name: x\n", "plan:\n  - name: x\n"])
async def test_the_initializer_leaves_the_plan(tmp_path, plan):
    """Otherwise a project could not be planned from a cassette."""
    played = await play(tmp_path, plan + "setup: pip --version\n", role=Role.INITIALIZER)
    assert played.end.status is RunStatus.COMPLETED
    outbox = read_outbox(played.outbox, Role.INITIALIZER)
    assert outbox.problems == ()
    assert [feature.name for feature in outbox.plan.features] == ["x"]
    assert [command.run for command in outbox.plan.setup] == ["pip --version"]


async def test_without_a_plan_the_initializer_fails(tmp_path):
    """Otherwise planning would end without features and without a reason."""
    played = await play(tmp_path, steps("say: x"), role=Role.INITIALIZER)
    assert "no plan" in played.end.message


def test_the_player_imports_little(tmp_path):
    """Otherwise each session of the demo would pay for imports that it does not need."""
    heavy = "('pydantic', 'asyncio', 'psutil', 'subprocess', 'tempfile')"
    code = f"import sys, shiftwork.agents.player; print([m for m in {heavy} if m in sys.modules])"
    argv = [sys.executable, "-P", "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "[]\n"


def test_settings_are_checked_before_anything_starts(tmp_path):
    """Otherwise a mistyped path would be found by the first session, in the background."""
    backend = find_backend("scripted")
    cassette = tmp_path / "demo.yml"
    cassette.write_text(steps("say: x"))
    backend.check({"cassette": str(cassette)})
    with pytest.raises(InvalidInput, match="absolute path"):
        backend.check({})
    with pytest.raises(InvalidInput, match="absolute path"):
        backend.check({"cassette": "demo.yml"})
    with pytest.raises(InvalidInput, match="no setting 'model'"):
        backend.check({"cassette": str(cassette), "model": "x"})
    with pytest.raises(CassetteError, match="can't be read"):
        backend.check({"cassette": str(tmp_path / "none.yml")})


def test_an_unknown_backend_names_the_known_ones():
    """Otherwise people would have to guess how agents are called."""
    assert "scripted" in backends()
    with pytest.raises(InvalidInput, match=r"'claud' is not known; known are: .*scripted"):
        find_backend("claud")


@pytest.mark.parametrize("provider", ["openai", "ollama", "anthropic"])
def test_who_names_a_provider_of_models_is_told_what_to_write(provider):
    """Otherwise the way from a model to its agent would have to be guessed."""
    sentence = f"For a model of {provider}, the agent is 'langchain', with the model '{provider}:MODEL'"
    with pytest.raises(InvalidInput, match=sentence):
        find_backend(provider)


@pytest.mark.parametrize(
    "line", [b"", b"hello", b'{"kind"', b'{"kind": "dance"}', b'{"kind": 3}', b"\xff" * 99, b'["kind"]']
)
def test_other_lines_are_no_events(line):
    """Otherwise what a program prints would be taken for the agent's word, or end the run."""
    assert list(EventLines().read(line)) == []
