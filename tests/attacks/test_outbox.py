"""Outboxes: whatever an agent leaves in one is read in bounded time and memory, or named in one sentence."""

import json
import os
import resource

import pytest

from shiftwork.agents.outbox import FILE_LIMIT, read_outbox
from shiftwork.text import printable
from tests.attacks.planted import SECRET
from tests.attacks.support import Stopwatch

_LAUGHS = "a: &a [lol]\n" + "".join(
    f"{y}: &{y} [{','.join([f'*{x}'] * 9)}]\n" for x, y in zip("abcdefg", "bcdefgh", strict=True)
)

REFUSED = {
    "a gigabyte of nothing": (
        lambda path: os.truncate(_touched(path), 1 << 30),
        "is larger than 1,048,576 bytes",
    ),
    "a terabyte of nothing": (
        lambda path: os.truncate(_touched(path), 1 << 40),
        "is larger than 1,048,576 bytes",
    ),
    "pipe": (os.mkfifo, "is not a regular file"),
    "folder": (lambda path: path.mkdir(), "is not a regular file"),
    "link to a secret": (lambda path: path.symlink_to(path.parent.parent / "secret"), "can't be opened"),
    "link to an endless file": (lambda path: path.symlink_to("/dev/zero"), "can't be opened"),
    "link to itself": (lambda path: path.symlink_to(path.name), "can't be opened"),
}
CONTENT = {
    "folders of folders": ("[" * 500_000 + "]" * 500_000, "is nested deeper than 40 levels"),
    "objects of objects": ('{"state":' * 100_000, "is nested deeper than 40 levels"),
    "a number as long as the file": ('{"state": ' + "9" * 1_000_000 + "}", "is not JSON"),
    "a number beyond all": ('{"state": 1e999999999}', "is not JSON (1e999999999 is no JSON number)"),
    "no number": ('{"state": NaN}', "is not JSON (NaN is no JSON number)"),
    "infinity": ('{"state": [-Infinity]}', "is not JSON (-Infinity is no JSON number)"),
    "a key twice": ('{"summary": "a", "summary": "b"}', "is not JSON ('summary' appears twice"),
    "billion laughs": (_LAUGHS, "is not JSON"),
    "entities": ('<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;&a;</x>', "is not JSON"),
    "Python": ("__import__('os').system('x')", "is not JSON"),
    "a class to build": ('{"state": {"py/object": "os.system"}, "!!python": 1}', "!!python: "),
    "UTF-16": ('{"summary": "a"}'.encode("utf-16"), "is not UTF-8 (byte 0)"),
    "overlong": (b'{"summary": "\xc0\xaf"}', "is not UTF-8"),
    "half a pair, as bytes": (b'{"summary": "\xed\xa0\x80"}', "is not UTF-8"),
    "NUL": ('{"summary": "a"}\0', "is not JSON"),
    "two documents": ('{"summary": "a"} {"summary": "b"}', "is not JSON"),
    "an unknown field": ('{"__class__": "x"}', "__class__: "),
    "escapes in a key": ('{"\\u001b]52;c;x\\u0007": 1}', "]52;c;x: "),
    "a long key": (json.dumps({"k" * 900_000: 1}), "k"),
}
CLEANED = {
    "escapes": ("\x1b[31mred\x1b]8;;http://x\x07", "[31mred]8;;http://x"),
    "half a pair": ("a\ud800b", "a?b"),
    "NUL": ("a\0b", "ab"),
    "other order": ("a\u202eb", "ab"),
    "nothing to see": ("a\u200b\U000e0041b", "ab"),
    "marks without end": ("a" + "\u0300\u0327" * 900, None),
}


def _touched(path):
    path.touch()
    return path


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.fixture
def outbox(tmp_path):
    """An agent's outbox beside what is not the agent's, with one decision that must not be lost."""
    (tmp_path / "secret").write_bytes(b'{"summary": "%s"}' % SECRET)
    folder = tmp_path / "outbox"
    folder.mkdir()
    (folder / "decisions.jsonl").write_text('{"decision": "d"}\n')
    return folder


def refused(outbox, reason: str) -> None:
    """It is one sentence, in bounded time, and costs nothing else."""
    watch, before = Stopwatch(), _memory()
    found = read_outbox(outbox)
    assert watch.seconds < 60
    assert _memory() - before < 100 * FILE_LIMIT
    assert found.handoff is None
    [problem] = found.problems
    assert problem.startswith(f"handoff.json: {reason}")
    assert len(problem) <= 500
    assert problem.isprintable()
    assert [note.decision for note in found.decisions] == ["d"]


@pytest.mark.parametrize("name", REFUSED)
def test_only_small_regular_files_are_read(outbox, name):
    """An agent could have the harness hang, run out of memory, or read what the agent may not."""
    make, reason = REFUSED[name]
    make(outbox / "handoff.json")
    refused(outbox, reason)


@pytest.mark.parametrize("name", CONTENT)
def test_only_plain_json_is_taken(outbox, name):
    """A document could exhaust the reader, mean two things to two readers, or be more than data."""
    content, reason = CONTENT[name]
    (outbox / "handoff.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(outbox, reason)


@pytest.mark.parametrize("name", CLEANED)
def test_text_is_cleaned_before_it_is_stored(outbox, name):
    """What an agent hands over would act on terminals, break the database, or stop the worker for minutes."""
    text, expected = CLEANED[name]
    (outbox / "handoff.json").write_text(json.dumps({"summary": text, "state": {text[:50]: [text]}}))
    watch = Stopwatch()
    handoff = read_outbox(outbox).handoff
    assert watch.seconds < 60
    assert handoff.summary == (printable(text) if expected is None else expected)
    assert list(handoff.state.values()) == [[handoff.summary]]
    handoff.model_dump_json().encode()


def test_marks_without_end_stop_nothing(outbox):
    """Normalising a megabyte of marks would take minutes."""
    (outbox / "handoff.json").write_text('{"state": "' + "\u0300\u0327" * 250_000 + '"}', encoding="utf-8")
    watch = Stopwatch()
    assert len(read_outbox(outbox).handoff.state) <= 30
    assert watch.seconds < 60


def test_a_folder_of_many_files_is_not_listed(outbox):
    """A million other files would be read, or their names held in memory."""
    for number in range(200):
        (outbox / f"other-{number}.json").touch()
    assert read_outbox(outbox).problems == ()
