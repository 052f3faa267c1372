"""What people read: tables, events, the status, the report; whatever agents wrote in them stays text."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from client.cli import output
from client.cli.logs import said
from client.cli.status import render
from client.patience import PatientStore
from client.report import project_report, render_markdown
from client.report_markdown import escape, fence
from client.telling import tell, worth_watching
from client.watch import moments, watch_plainly
from client.watch_live import LiveDisplay
from shiftwork.contracts.decision import DecisionOutcome
from shiftwork.contracts.feature import FeatureSpec, FeatureStatus
from shiftwork.contracts.outbox import DecisionNote, Outbox, StepVerdict, Verdict
from shiftwork.contracts.project import ProjectStatus
from shiftwork.contracts.session import Role
from shiftwork.settings import Settings
from shiftwork.store.migrate import migrate
from shiftwork.store.rows import EventRow, TranscriptRow

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOSTILE = "[bold]x[/] \x1b[31m<script>|`a`\n# b [c](http://d) \u202e"
FEATURE = {
    "name": f"first {HOSTILE}",
    "description": HOSTILE,
    "verification_steps": [{"description": "a | b", "command": "echo '```'\ntrue"}, "looked at"],
}


@pytest.fixture
async def store(database_url):
    await migrate(database_url)
    async with PatientStore(Settings(Path(), database_url=database_url)) as store:
        yield store


async def fill(store):
    """A project of two features and three sessions, as a run would leave its rows; its id."""
    async with store.transaction() as tx:
        project = await tx.projects.create(f"shop {HOSTILE}"[:100], "sells", repository="/r", budget_usd=5)
        specs = [FeatureSpec.model_validate(FEATURE), FeatureSpec(name="second", depends_on=("other",))]
        first, second = await tx.features.adopt(project.id, specs, 1)
        for number, feature in enumerate((None, first, second)):
            role = Role.SESSION if feature else Role.INITIALIZER
            session = await tx.sessions.begin(project.id, number, feature and feature.id, role, NOW)
            if number == 1:
                await evidence(tx, session, first)
                attempt = await tx.attempts.begin(session.id, "host", 60)
                await tx.usage.add(session.id, 1, attempt.token, 0, input_tokens=7, cost_usd=0.25)
                await tx.sessions.end(project.id, 1, outcome="passed", landed_commit="c0ffee" * 6)
                await tx.checkpoints.add(project.id, "c0ffee" * 6, session.id, [first.id])
                note = DecisionNote(decision=HOSTILE, reasoning="why", tags=("a",))
                decision = await tx.decisions.record(project.id, session.id, 1, 0, note)
                await tx.decisions.feedback(decision.id, DecisionOutcome.PARTIAL, 0.5, "learnt")
            await tx.progress.log(project.id, f"did first {HOSTILE}", outcome="well", session_id=session.id)
        await tx.sessions.end(project.id, 0, outcome="failed", error=HOSTILE)
        await tx.features.save(first.id, 2, status=FeatureStatus.PASSING, passed_commit="c0ffee" * 6)
        await tx.features.save(second.id, 2, waiting=True, question=f"Which? {HOSTILE}")
        await tx.projects.save(project.id, 1, status=ProjectStatus.PAUSED, status_reason="by eva")
        await tx.events.append(project.id, "session_started", reference="session:1")
        await tx.events.append(project.id, "steer", actor="user:eva", data={"text": HOSTILE})
    return project.id


async def evidence(tx, session, feature):
    for round_number, verdict, text in ((0, "step_failed", "old"), (1, "passed", f"```\n{HOSTILE}")):
        await tx.evidence.add(
            session.id, round_number, feature.id, 0,
            commit="c0ffee" * 6, verdict=verdict, command="true", exit_status=0, output_tail=text,
        )  # fmt: skip


def event(kind, reference="", actor="", **data):
    return EventRow(
        project_id="p", sequence=1, key=None, kind=kind, actor=actor, reference=reference, data=data, at=NOW
    )


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (event("session_started", "session:3", feature="search"), "session 3 started: search"),
        (event("landed", "commit:" + "ab" * 20, feature="search"), "landed ababababab: search"),
        (event("attempt_started", "session:3", attempt=1, host="vm"), "session 3: agent on vm, attempt 1"),
        (event("attempt_started", "session:3", attempt=2, host="vm", role="session", agent="claude"),
         "session 3: agent (claude) on vm, attempt 2"),
        (event("attempt_started", "session:3", attempt=2, host="vm", role="verifier", agent="langchain",
               model="openai:x"), "session 3: verifier (langchain, openai:x) on vm"),
        (event("attempt_ended", "session:3", role="verifier", status="completed",
               verdict=[{"step": 1, "met": True, "reason": "It\nshines."}, {"step": 2, "met": False}]),
         "session 3: verifier completed: step 1 met, It shines.; step 2 not met"),
        (event("agent_rests", "session:3", agent="claude", until="2026-01-02T20:48:17+00:00"),
         "session 3: agent claude rests until 20:48 UTC; there is no other now"),
        (event("agent_rests", "session:3", agent="claude", model="opus", until="2026-01-03T20:48:17.5+00:00",
               next_agent="langchain", next_model="openai:x"),
         "session 3: agent claude, opus rests until 2026-01-03 20:48 UTC; langchain, openai:x goes on"),
        (event("agent_rests", "session:3", agent="claude", until=None, next_agent="codex"),
         "session 3: agent claude rests until somebody resumes; codex goes on"),
        (event("feature_edited", "feature:7", actor="user:eva", feature="search"), "eva edited search"),
        (event("feature_edited", "feature:7", actor="user:eva"), "eva edited feature 7"),
        (event("feature_status", "feature:7", actor="user:eva", feature="search", status="passing"),
         "eva asked for verification: search"),
        (event("feature_status", "feature:7", feature="search", status="not_started", reason="why"),
         "somebody made it not started: search: why"),
        (event("steer", "feature:7", actor="user:eva", text="b", feature="search"),
         "eva gave guidance (search): b"),
        (event("resumed", actor="user:eva"), "eva resumed the project"),
        (event("resumed", actor="user:eva", role="verifier",
               agent_settings={"model": "o3", "base_url": None}),
         "eva resumed the project and gave the verifier other settings: model 'o3', base_url removed"),
        (event("resumed", actor="user:eva", category="ui", fallback=2, agent_settings={"model": "o3"}),
         "eva resumed the project and gave fallback 2 of the agent of ui other settings: model 'o3'"),
        (event("attempt_ended", "session:3", status="failed", failure="agent_crashed", detail="It ended."),
         "session 3: agent crashed: It ended."),
        (event("attempt_ended", "session:3", status="interrupted", reason="rate_limited"),
         "session 3: agent interrupted, rate limited"),
        (event("attempt_ended", "session:3", status="interrupted", reason="authentication",
               detail="Not logged in · Please run /login\nOdd.", notes=["Odd."]),
         "session 3: agent interrupted, authentication: Not logged in · Please run /login Odd."),
        (event("verification_failed", "session:3", failure="step_failed",
               detail="Step 1 ended.\nCommand: make\nOutput:\nlong\n\nFAILED (1)\n"),
         "session 3: verification failed: FAILED (1) (Step 1 ended)"),
        (event("verification_failed", "session:3", failure="step_failed",
               detail="Step 1 ended.\nCommand: make\nOutput:\nx\n(standard output lacks 'Hello')"),
         "session 3: verification failed: standard output lacks 'Hello' (Step 1 ended)"),
        (event("verification_failed", "session:3", failure="merge_conflict", detail="Merge conflict in a."),
         "session 3: verification failed: Merge conflict in a."),
        (event("verification_failed", "session:3", failure="no_command"),
         "session 3: verification failed: no command"),
        (event("session_ended", "session:3", feature="a", outcome="failed", note="odd"),
         "session 3 ended: a: failed; odd"),
        (event("budget", actor="user:eva", budget_usd=2.5), "eva set the budget to $2.5"),
        (event("budget", actor="user:eva", budget_usd=None), "eva set the budget to no limit"),
        (event("paused", reason="budget"), "paused: budget"),
        (event("people_imported", commit="ab" * 20, broken=["x"]),
         "your commit ababababab came in; it broke x"),
        (event("of_tomorrow", "feature:3", size=4, none=None), "of tomorrow (feature 3): size 4"),
        (event("steer", actor="user:eva", text="a\x1b[31m\nb"), "eva gave guidance: a[31m b"),
    ],
    ids=lambda value: value.kind if isinstance(value, EventRow) else "",
)  # fmt: skip
def test_events_are_sentences(row, expected):
    """If it failed, people would read keys and values, or what an agent wrote would move the cursor."""
    assert expected == tell(row)


def test_a_flood_in_an_event_is_cut():
    """If it failed, one agent's text would fill the screen of everybody who watches."""
    assert len(tell(event("warning", text="x" * 10_000))) <= 300


def test_watching_leaves_out_what_is_said_twice():
    """If it failed, the lines of a watch would repeat each other, or lack a failure."""
    shown = [
        worth_watching(each)
        for each in (
            event("attempt_ended", status="completed"),
            event("attempt_ended", status="failed", failure="agent_failed"),
            event("attempt_ended", status="interrupted", reason="authentication", detail="Not logged in"),
            event("attempt_ended", status="interrupted", reason="paused", detail="Asked to end."),
            event("session_ended", status="passed", feature_id=1),
            event("session_ended", status="failed", feature_id=1),
            event("attempt_ended", role="verifier", status="completed", verdict=[{"step": 1, "met": True}]),
        )
    ]
    assert shown == [False, True, True, False, False, True, True]


ROWS = [(1, "a\x1b[31mb\nc", "ui", "why " * 10), (22, "d", "ui", None)]
HEAD = ("id", "name", "kind", "remark")


def test_tables_are_aligned_and_clean():
    """If it failed, a list would be crooked or cut where a program reads it, or carry control characters."""
    assert output.table(HEAD, ROWS).splitlines() == [
        "ID  NAME      KIND  REMARK",
        "1   a[31mb c  ui    " + ("why " * 10).rstrip(),
        "22  d         ui",
    ]


def test_narrow_tables_wrap_and_drop_what_is_spare():
    """If it failed, a table on a narrow terminal would break, or hide why a feature is blocked."""
    text = output.table(HEAD, ROWS, spare=(2,), width=40)
    assert text.splitlines() == [
        "ID  NAME      REMARK",
        "1   a[31mb c  why why why why why why",
        "              why why why why",
        "22  d",
    ]
    assert "ui" in output.table(HEAD, ROWS, spare=(2,), width=60)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, "0s"), (59.9, "59s"), (60, "1:00"), (3727, "1:02:07"), (-1, "0s")]
)
def test_durations(seconds, expected):
    """If it failed, elapsed time would be read wrongly."""
    assert expected == output.duration(seconds)


@pytest.mark.parametrize(("usd", "expected"), [(0, "$0.00"), (0.0041, "$0.0041"), (12.345, "$12.35")])
def test_money(usd, expected):
    """If it failed, small costs would look like none."""
    assert expected == output.money(usd)


def test_transcripts_are_readable():
    """If it failed, what an agent said would hide behind braces, or write over the terminal."""
    item = {"session_id": 1, "attempt": 1, "sequence": 1, "at": NOW}
    text = TranscriptRow(**item, kind="text", payload={"text": "one\x1b[2J\ntwo\n"})
    assert said(text).endswith("  text: one[2J\n    two")
    done = TranscriptRow(**item, kind="finished", payload={"ok": False, "text": "no"})
    assert said(done).endswith("  finished: failure no")
    tool = TranscriptRow(**item, kind="tool_use", payload={"text": "write", "data": {"path": "a"}})
    assert said(tool).endswith("  tool_use: write path a")
    usage = TranscriptRow(**item, kind="usage", payload={"cost_usd": 0.009704999999999998})
    assert said(usage).endswith("  usage: cost $0.0097")


async def test_the_status_for_people(store):
    """If it failed, people would miss what runs, what is asked, or what it cost."""
    project_id = await fill(store)
    async with store.transaction() as tx:
        status = await tx.projects.status(project_id)
    text = render(status, NOW + timedelta(seconds=75))
    for expected in (
        "is paused: by eva",
        "1/2 features pass (50 %)",
        "1 not started, 1 passing",
        "$0.25 of $5.00",
    ):
        assert expected in text
    assert "session 2: second (orientation, 1:15)" in text
    assert f"shiftwork answer {project_id[:8]} {status['questions'][0]['feature_id']} TEXT" in text
    assert "  session 1: did first" in text
    assert not set("\x1b\u202e") & set(text)


async def test_a_wait_for_the_provider_is_told_in_the_first_line(store):
    """If it failed, a project that waits would look stuck, and a paused one would promise to go on."""
    project_id = await fill(store)
    until = datetime.now(UTC) + timedelta(hours=1)
    shown = {}
    for revision, status in ((2, ProjectStatus.PAUSED), (3, ProjectStatus.ACTIVE)):
        async with store.transaction() as tx:
            columns = {"status": status, "status_reason": "", "not_before": until}
            await tx.projects.save(project_id, revision, **columns)
            shown[status] = render(await tx.projects.status(project_id), until - timedelta(minutes=1))
    first = shown[ProjectStatus.ACTIVE].splitlines()[0]
    assert " is active: waits for the provider until " in first
    assert f"{until.astimezone():%H:%M}" in first
    assert f"{until.astimezone():%H:%M}" not in shown[ProjectStatus.PAUSED]


async def test_the_report_holds_everything(store):
    """If it failed, the report would leave out what people keep it for, or differ from run to run."""
    project_id = await fill(store)
    report = await project_report(store, project_id)
    assert report == json.loads(json.dumps(report)) == await project_report(store, project_id)
    assert {
        *("version", "project", "status", "features", "sessions", "decisions", "checkpoints", "events")
    } == set(report)
    first, second = report["features"]
    assert (first["status"], second["status"]) == ("passing", "not_started")
    [executed, looked_at] = first["verification"]
    assert (executed["evidence"]["verdict"], executed["evidence"]["exit_status"]) == ("passed", 0)
    assert (looked_at["command"], looked_at["evidence"]) == (None, None)
    assert [each["number"] for each in report["sessions"]] == [0, 1, 2]
    assert tuple(report["sessions"][1][name] for name in ("outcome", "total_cost_usd", "total_tokens")) == (
        "passed",
        0.25,
        7,
    )
    [decision] = report["decisions"]
    assert tuple(decision[name] for name in ("session", "outcome", "score", "lesson")) == (
        1,
        "partial",
        0.5,
        "learnt",
    )
    assert tuple(decision[name] for name in ("feature", "judged_by", "lesson_by")) == (
        first["name"],
        "person",
        "person",
    )
    assert "- Outcome: partial (+0.5), says a person" in render_markdown(report)
    assert [first["name"]] == report["checkpoints"][0]["passing"]
    assert [each["kind"] for each in report["events"]] == ["steer"]


async def test_the_report_says_who_did_what_and_what_the_verifier_saw(store):
    """If it failed, nobody could look up who judged a feature, and why it passed."""
    project_id = await fill(store)
    verdict = Verdict(steps=[StepVerdict(step=2, met=True, reason="It shines.", command="grep -q shine a")])
    async with store.transaction() as tx:
        session = await tx.sessions.get(project_id, 1)
        for role, agent in (("session", "claude"), ("session", "claude"), ("verifier", "langchain")):
            data = {"role": role, "agent": agent, "model": "openai:x" if role == "verifier" else None}
            await tx.events.append(project_id, "attempt_started", reference="session:1", data=data)
        attempt = await tx.attempts.begin(session.id, "host", 60)
        await tx.attempts.finish(
            session.id, attempt.attempt, attempt.token, outcome="completed", outbox=Outbox(verdict=verdict)
        )
    report = await project_report(store, project_id)
    assert report["sessions"][1]["agents"] == [
        {"role": "session", "agent": "claude", "model": None},
        {"role": "verifier", "agent": "langchain", "model": "openai:x"},
    ]
    judged = {"session": 1, "met": True, "reason": "It shines.", "command": "grep -q shine a"}
    assert [step["verdict"] for step in report["features"][0]["verification"]] == [None, judged]
    markdown = render_markdown(report)
    assert "| session: claude, verifier: langchain openai:x |" in markdown
    assert "The verifier of session 1: met. It shines." in markdown
    assert "grep -q shine a" in markdown


async def test_estimates_are_told_as_what_they_are(store):
    """If it failed, people would take a guess for the provider's own figures."""
    project_id = await fill(store)
    before = await project_report(store, project_id)
    assert "estimated" not in render_markdown(before)
    async with store.transaction() as tx:
        session = await tx.sessions.get(project_id, 2)
        attempt = await tx.attempts.begin(session.id, "host", 60)
        await tx.usage.add(session.id, 1, attempt.token, 0, output_tokens=1234, cost_usd=0.5, estimated=True)
        status = await tx.projects.status(project_id)
    report = await project_report(store, project_id)
    told = "(estimated of these: $0.50, 1,234 tokens)"
    assert f"$0.75 of $5.00, 1,241 tokens {told}" in render(status, NOW)
    markdown = render_markdown(report)
    assert f"$0.75 of $5.00, 1,241 tokens {told}" in markdown
    assert markdown.count(told) == 2
    assert [each["estimated"]["calls"] for each in report["sessions"]] == [0, 0, 1]


async def test_nothing_an_agent_wrote_becomes_markup(store):
    """If it failed, a report on the web would run an agent's script or show its links."""
    markdown = render_markdown(await project_report(store, await fill(store)))
    assert not set("\x1b\u202e") & set(markdown)
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)
    for markup in ("<script", "<a ", "<img"):
        assert markup not in html
    assert html.count("<h1>") == 1
    for row in (line for line in markdown.splitlines() if line.startswith("| ")):
        assert row.replace("\\|", "").count("|") in {3, 5, 8, 11}
    assert "Lesson: learnt" in markdown
    assert re.search(r"- Started: [\d-]+ [\d:]+ UTC\n", markdown)
    assert "$0.25 of $5.00" in markdown
    assert "**passed, exit status 0" in markdown
    assert "**never executed**" in markdown


def test_fences_are_longer_than_any_inside():
    """If it failed, a test's output could leave its code block."""
    assert fence("a\n```\nb\n") == "````text\na\n```\nb\n````"
    assert escape("a|b <i> [c](d)\nhttp:// www.x") == r"a\|b \<i\> \[c\](d) http:\// www\.x"


async def test_the_live_display_shows_text_as_text(store):
    """If it failed, a feature's name could colour, hide or break the display."""
    project_id = await fill(store)
    async with store.transaction() as tx:
        project = await tx.projects.get(project_id)
        features = await tx.features.list(project_id)
        status = await tx.projects.status(project_id)
    console = Console(width=100, height=30, force_terminal=True, color_system=None)
    display = LiveDisplay(project, console)
    display.status, display.features = status, features
    display.lines.append(tell(event("steer", text=HOSTILE)))
    text = drawn(console, display)
    assert "first [bold]x[/]" in text
    assert "\x1b" not in text
    display.hear_silence(23)
    assert "The stack is not answering (23 s)" in drawn(console, display)
    display.hear_silence(None)
    assert "not answering" not in drawn(console, display)
    display.features = features * 20
    text = drawn(console, display)
    assert "… and " in " ".join(text.split())
    assert len(text.splitlines()) <= 30
    small = Console(width=60, height=12, force_terminal=True, color_system=None)
    display = LiveDisplay(project, small)
    display.status, display.features = status, features * 20
    display.lines.extend(["something happened"] * 6)
    assert len(drawn(small, display).splitlines()) <= 12


def drawn(console, display):
    with console.capture() as capture:
        console.print(display)
    return capture.get()


async def test_replayed_events_have_no_figures_of_later(store, capsys):
    """If it failed, a watch that begins late would say that everything passed when a question was asked."""
    async with store.transaction() as tx:
        project = await tx.projects.create("p")
        [feature] = await tx.features.adopt(project.id, [FeatureSpec(name="f")], 1)
        await tx.features.save(feature.id, 2, status=FeatureStatus.PASSING)
        await tx.events.append(project.id, "paused", data={"reason": "a question"})
        await tx.events.append(project.id, "completed")
        await tx.projects.save(project.id, 2, status=ProjectStatus.COMPLETED)
    await watch_plainly(store, project)
    first, last = capsys.readouterr().out.splitlines()
    assert "1/1" not in first
    assert last.split()[1:] == ["1/1", "completed"]


async def test_moments_end_when_the_project_rests(store):
    """If it failed, a watch would never end, end too early, or miss an event."""
    async with store.transaction() as tx:
        project = await tx.projects.create("p")
        await tx.events.append(project.id, "paused")
        await tx.projects.save(project.id, 1, status=ProjectStatus.PAUSED)
    assert [[e.sequence for e in m.events] async for m in moments(store, project.id)] == [[1], []]
    seen = []
    async for moment in moments(store, project.id, after=1, rest_after=1):
        seen += [each.kind for each in moment.events]
        if not seen:  # an old rest does not count: only now it goes on, and rests again
            async with store.transaction() as tx:
                await tx.events.append(project.id, "resumed")
                await tx.events.append(project.id, "completed")
                await tx.projects.save(project.id, 2, status=ProjectStatus.COMPLETED)
    assert seen == ["resumed", "completed"]
    assert (moment.status["status"], moment.at_rest) == ("completed", True)
