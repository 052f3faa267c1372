"""Outboxes: what is valid is read, whatever else an agent left."""

import json
import os

import pytest

from shiftwork.agents.outbox import FILE_LIMIT, LINE_LIMIT, read_outbox, read_progress
from shiftwork.contracts.outbox import Outbox
from shiftwork.contracts.session import Role


def leave(folder, name, content):
    data = content if isinstance(content, bytes | str) else json.dumps(content)
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))


def test_an_empty_outbox_is_fine(tmp_path):
    """Otherwise an agent that leaves nothing would be blamed for it."""
    assert read_outbox(tmp_path) == Outbox()


def test_what_is_valid_is_read(tmp_path):
    """Otherwise hand-overs, decisions and progress would be lost between sessions."""
    leave(tmp_path, "plan.json", {"features": [{"name": "a"}]})
    leave(tmp_path, "handoff.json", {"summary": "s", "state": {"k": [1, None, 2.5]}})
    leave(tmp_path, "decisions.jsonl", '{"decision": "d"}\n\n{"decision": "e", "tags": ["t"]}')
    leave(tmp_path, "progress.jsonl", '{"action": "a"}\n')
    leave(tmp_path, "question.json", {"question": "q?"})
    outbox = read_outbox(tmp_path, Role.INITIALIZER)
    assert outbox.problems == ()
    assert outbox.plan.features[0].name == "a"
    assert outbox.handoff.state == {"k": [1, None, 2.5]}
    assert [note.decision for note in outbox.decisions] == ["d", "e"]
    assert outbox.progress[0].action == "a"
    assert outbox.question.question == "q?"
    assert read_outbox(tmp_path, Role.SESSION).plan is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[]", "the document"),
        ("null", "the document"),
        (b"\xff\xfe", "is not UTF-8 (byte 0)"),
        ('{"summary": 7}', "summary: "),
        ('{"summery": "x"}', "summery: "),
        ('{"state": NaN}', "is not JSON (NaN is no JSON number)"),
        ('{"state": 1e999}', "is not JSON (1e999 is no JSON number)"),
        ('{"state": ' + "9" * 5000 + "}", "is not JSON"),
        ('{"state": ' + "[" * 41 + "]" * 41 + "}", "is nested deeper than 40 levels"),
        ("[" * 1_000_000, "is nested deeper than 40 levels"),
        ('{"summary": "' + "x" * 2001 + '"}', "summary: String should have at most 2000"),
        (b" " * (FILE_LIMIT + 1), "is larger than 1,048,576 bytes"),
        ('{"summary": "a", "summary": "b"}', "is not JSON ('summary' appears twice in one object)"),
        ('{"state": {"k": {"x": 1, "x": 1}}}', "is not JSON ('x' appears twice in one object)"),
        (f'{{"{"k" * 60}": 1, "{"k" * 60}": 1}}', f"is not JSON ('{'k' * 60}' appears twice in one object)"),
        (f'{{"{"k" * 201}": 1, "{"k" * 201}": 1}}', "is not JSON (a key of 201 characters appears twice"),
        ('{"summary": "a", "sum\\u200bmary": "b"}', "is not JSON ('summary' appears twice in one object)"),
        ('{"state": {"k": 1, "\\u2800k": 2}}', "is not JSON ('k' appears twice in one object)"),
        ('{"\\u001b[31m\\nkey": 1}', "[31m key: "),
    ],
)
def test_a_broken_file_is_one_sentence_and_costs_nothing_else(tmp_path, content, reason):
    """Otherwise one bad file would lose the others, or end the activity again and again."""
    leave(tmp_path, "handoff.json", content)
    leave(tmp_path, "decisions.jsonl", '{"decision": "d"}')
    outbox = read_outbox(tmp_path)
    assert len(outbox.problems) == 1
    assert outbox.problems[0].startswith(f"handoff.json: {reason}")
    assert len(outbox.problems[0]) <= 500
    assert outbox.problems[0].isprintable()
    assert len(outbox.decisions) == 1


def test_a_broken_line_is_named(tmp_path):
    """Otherwise one bad line would lose all others of its file."""
    leave(tmp_path, "progress.jsonl", '{"action": "a"}\nnonsense\n{"action": ""}\n{"action": "b"}\n')
    outbox = read_outbox(tmp_path)
    assert [note.action for note in outbox.progress] == ["a", "b"]
    assert [problem.split(":")[0] for problem in outbox.problems] == [
        "progress.jsonl, line 2",
        "progress.jsonl, line 3",
    ]


def test_the_number_of_lines_and_problems_is_bounded(tmp_path):
    """Otherwise an agent could fill the database, or the next brief, with a million notes."""
    leave(tmp_path, "progress.jsonl", '{"action":"a"}\n' * (LINE_LIMIT + 7))
    leave(tmp_path, "decisions.jsonl", "x\n" * LINE_LIMIT)
    outbox = read_outbox(tmp_path)
    assert len(outbox.progress) == LINE_LIMIT
    assert len(outbox.problems) <= 50


def test_text_is_cleaned(tmp_path):
    """Otherwise NUL or half a surrogate pair would break the database, and escapes people's terminals."""
    summary, state = r'"a\u0000\u001b[2Jb"', r'{"k\ud800": "\udfff\u202e"}'
    leave(tmp_path, "handoff.json", f'{{"summary": {summary}, "state": {state}}}')
    outbox = read_outbox(tmp_path)
    assert outbox.handoff.summary == "a[2Jb"
    assert outbox.handoff.state == {"k?": "?"}
    outbox.model_dump_json().encode()


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    """Programs on Windows write one in front; their hand-overs would be lost."""
    leave(tmp_path, "handoff.json", b'\xef\xbb\xbf{"summary": "s"}')
    outbox = read_outbox(tmp_path)
    assert (outbox.handoff.summary, outbox.problems) == ("s", ())


@pytest.mark.parametrize("kind", ["link", "dangling", "fifo", "folder", "device"])
def test_only_regular_files_are_opened(tmp_path, kind):
    """Otherwise the harness would read what an agent may not, or wait for ever on a pipe."""
    (tmp_path / "secret").write_text('{"summary": "secret"}')
    outbox = tmp_path / "outbox"
    outbox.mkdir()
    path = outbox / "handoff.json"
    if kind == "link":
        path.symlink_to(tmp_path / "secret")
    elif kind == "dangling":
        path.symlink_to(tmp_path / "none")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    found = read_outbox(outbox)
    assert found.handoff is None
    assert len(found.problems) == 1


def test_the_folder_itself_may_be_replaced(tmp_path):
    """Otherwise an agent could have the harness read another folder in the place of its outbox."""
    other = tmp_path / "other"
    other.mkdir()
    leave(other, "handoff.json", {"summary": "secret"})
    leave(other, "progress.json", '"secret"')
    assert read_progress(other) == "secret"
    (tmp_path / "outbox").symlink_to(other)
    os.mkfifo(tmp_path / "pipe")
    for name in ("outbox", "pipe", "none"):
        found = read_outbox(tmp_path / name)
        assert found.handoff is None
        (problem,) = found.problems
        assert "the outbox itself can't be read" in problem
        assert read_progress(tmp_path / name) is None
