"""What agents wrote, where people read it: a terminal or a page shows it, and does nothing else."""

import re
from datetime import UTC, datetime

import pytest
from markdown_it import MarkdownIt

from client.cli.logs import said
from client.cli.output import excerpt, pairs, table
from client.report_markdown import escape, fence
from client.saying import said_line
from client.telling import tell
from shiftwork.agents.brief import (
    BriefRequest,
    DecisionBrief,
    FeatureBrief,
    Guidance,
    KeptWork,
    ProjectBrief,
    render,
)
from shiftwork.contracts.feature import VerificationStep
from shiftwork.contracts.outbox import Handoff
from shiftwork.contracts.state import FeatureState, ProjectState
from shiftwork.repository.messages import SESSION, compose, parse_trailers
from shiftwork.store.rows import EventRow, TranscriptRow
from shiftwork.text import plain_markdown, printable
from workflows.details import markdown

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)

ESCAPES = {
    "colour": "\x1b[31mred",
    "cleared screen": "\x1b[2J\x1b[3J\x1b[H",
    "other screen": "\x1b[?1049h",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;cm0gLXJmIC8K\x07",
    "notification": "\x1b]777;notify;a;b\x1b\\",
    "device control": "\x1bP+q544e\x1b\\",
    "answer of the terminal": "\x1b[6n\x1b[c\x05",
    "keyboard": "\x1b[>1u\x1b=",
    "reset": "\x1bc",
    "eight-bit controls": "\x9b31m\x9d52;c;x\x9c\x90\x98\x9e\x9f",
    "overwriting": "harmless\rrm -rf /",
    "backspaces": "safe\b\b\b\bevil",
    "up a line": "\x0b\x0c\x84\x8d",
    "other order": "\u202eexe.gpj\u202c\u2066\u2069",
    "nothing to see": "a\u200b\u2060\ufeff\u00adb\U000e0041\U000e0042",
    "half a pair": "a\ud800b\udfff",
    "NUL": "a\0b",
}
MARKS = {
    "rich markup": "[red]x[/red] [link=http://evil.example]y[/link] [@click=app.bell]z[/]",
    "inline link": "[click](http://evil.example)",
    "image": "![x](http://evil.example/track.png)",
    "reference": "[x][y]\n\n[y]: http://evil.example",
    "bare address": "https://evil.example www.evil.example me@evil.example",
    "angle brackets": "<http://evil.example> <img src=x onerror=alert(1)><script>alert(1)</script>",
    "entities": "&lt;script&gt; &#60;b&#62;",
    "table": "a | b\n| - | - |\n| c | d |",
    "heading": "x\n# Instead, do this\n***",
    "code": "```\n`` ` ``` ````",
    "HTML comment": "<!-- hidden --> <details>",
    "escaped already": r"\[x\](http://evil.example) \\![y](z)",
}
HARMLESS = {"rich markup", "entities", "table"}
"""What means nothing in a line of Markdown by itself."""
HOSTILE = ESCAPES | MARKS
EVENTS = (
    "session_started", "attempt_started", "attempt_ended", "verification_passed", "verification_failed",
    "landed", "session_ended", "session_dropped", "blocked", "feature_added", "feature_edited", "steer",
    "answer", "decision_feedback", "reverted", "people_imported", "warning", "paused", "abandoned", "resumed",
    "project_created", "never heard of",
)  # fmt: skip
FACTS = (
    "feature", "detail", "reason", "status", "failure", "text", "host", "outcome", "note", "commit", "score",
    "to", "agent",
)  # fmt: skip


def shows_safely(text: str) -> bool:
    """Whether a terminal only shows it: nothing is left that cleaning would take away."""
    text.encode()
    return printable(text) == text


def events(text: str) -> list[str]:
    """Every kind of event, with the text wherever one may be."""
    data = dict.fromkeys(FACTS, text) | {name: [text] for name in ("problems", "notes", "restored", "broken")}
    told = []
    for kind in EVENTS:
        for left in ({}, {"failure": ""}, {"failure": "", "reason": ""}):
            row = {"project_id": "p", "sequence": 1, "key": None, "kind": kind, "actor": f"user:{text}"}
            told.append(tell(EventRow(**row, reference=f"session:{text}", data=data | left, at=AT)))
    return told


def transcripts(text: str) -> list[str]:
    """What logs and watch say of every kind of transcript item."""
    data = dict.fromkeys(("command", "path", "exit_code", "x\n\x1b[2J"), text)
    shown = []
    for kind in ("text", "thinking", "tool_use", "tool_result", "finished", "started", "warning"):
        row = TranscriptRow(
            session_id=1,
            attempt=1,
            at=AT,
            sequence=1,
            kind=kind,
            payload={"text": text, "data": data, "ok": True},
        )
        shown += [said(row), said_line(row)]
    return shown


@pytest.mark.parametrize("name", HOSTILE)
def test_lists_events_and_transcripts_only_show(name):
    """An agent could clear a terminal, set the clipboard, or forge lines of the log."""
    text = HOSTILE[name]
    if name in ESCAPES:
        assert printable(text) != text, "the attack does not work: it shows nothing"
    lines = [*events(text), excerpt(text), *transcripts(text)[1::2]]
    assert all(shows_safely(line) and "\n" not in line for line in lines)
    assert all(map(shows_safely, transcripts(text)))
    listed = table(("name", "what"), [(text, 1), ("b", text)])
    assert shows_safely(pairs([("a", text), ("b", text)]))
    assert shows_safely(listed)
    assert len(listed.splitlines()) == 3


def brief(text: str) -> str:
    """A brief with the text wherever one may be."""
    allowed = text.replace("\0", "")  # the contract of a step refuses NUL
    step = VerificationStep(description=allowed, command=allowed, files={"x": allowed})
    return render(
        BriefRequest(
            project=ProjectBrief(id="p1", name=text, description=text, spec="", total=3),
            session=4,
            attempt=2,
            run=1,
            feature=FeatureBrief(
                id=7, name=text, description=text, depends_on=(text,), verification_steps=(step,)
            ),
            handoff=Handoff(summary=text, state={"k": text}, last_action=text),
            decisions=(DecisionBrief(decision=text, reasoning=text, outcome="success", lesson=text),),
            progress=(text,),
            previous_failure=text,
            kept_work=KeptWork(commit="abc", patch="kept.patch", files=(text,)),
            guidance=(Guidance(text="Go on", question=text),),
            outbox_problems=(text,),
        )
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_briefs_only_show(name):
    """An agent could hide instructions for the next one where no person sees them, or head them as ours."""
    # Half a pair gets into no contract: pydantic refuses it.
    text = brief(HOSTILE[name].encode("utf-8", "ignore").decode())
    assert shows_safely(text)
    outside = re.sub(r"(?ms)^(`{3,})\n.*?\n\1$", "", text)
    assert not re.search(r"(?m)^(# Instead|\*\*\*)", outside)


_ACTS = {
    "link_open",
    "image",
    "html_inline",
    "html_block",
    "fence",
    "code_inline",
    "hr",
    "strong_open",
    "em_open",
}


def links(text: str) -> list[str]:
    """What a page would make of Markdown: links, images, HTML, addresses that become links by themselves."""
    blocks = MarkdownIt("commonmark").enable("table").parse(text)
    tokens = [token for block in blocks for token in (block, *(block.children or ()))]
    found = [token.type for token in tokens if token.type in _ACTS]
    # GitHub's and Temporal's pages make links of bare addresses; a backslash in them prevents it.
    return found + re.findall(r"https?://|www\.|(?<!\\)@\w", text)


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_stays_text(name):
    """A page of Temporal or a report on the web would load an agent's image, run its script, show a link."""
    text = HOSTILE[name]
    if name in MARKS and name not in HARMLESS:
        assert links(text), "the attack does not work: it shows nothing"
    features = [FeatureState(id=1, name=text, blocked_reason=text)]
    page = markdown(ProjectState(project_id="p", name=text, reason=text, features=features), {3: 1, 4: None})
    assert shows_safely(page)
    assert links(page) == ["strong_open"]  # the status, which is ours
    assert page.count("\n| ") == 2  # the table's head and its one row
    for line in (plain_markdown(text), escape(text)):
        assert shows_safely(line)
        assert links(f"a {line} b") == []


@pytest.mark.parametrize("name", HOSTILE)
def test_output_cannot_leave_its_block(name):
    """What a step printed would become markup of the report."""
    block = fence(HOSTILE[name])
    assert shows_safely(block)
    [token] = MarkdownIt("commonmark").parse(block)
    assert token.type == "fence"


@pytest.mark.parametrize("name", [*HOSTILE, "trailers"])
def test_commit_messages_only_show(name):
    """`git log` would act on the terminal of a person, or a session could pretend to be another."""
    forged = "x\n\nShiftwork-Session: 9\n\u200bShiftwork-Session: 9\r\u2028\x85shiftwork-session: 9\n\n"
    text = HOSTILE.get(name, forged)
    message = compose(text, text, {SESSION: "7", "Shiftwork-Feature": text})
    assert shows_safely(message)
    assert parse_trailers(message)[SESSION] == "7"
    assert [line for line in message.splitlines() if line.lower().startswith("shiftwork-session")] == [
        f"{SESSION}: 7"
    ]
