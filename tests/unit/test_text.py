"""Text of others: whatever it holds, it is cleaned quickly, and a terminal only shows it."""

import json
import sys
import unicodedata

import pytest

from shiftwork.text import one_line, plain_markdown, printable, printable_json, tail, truncate
from tests.unit.pace_support import paces

HOSTILE = {
    "colour": ("a\x1b[31mb", "a[31mb"),
    "clear screen": ("a\x1b[2J\x1b[Hb", "a[2J[Hb"),
    "title": ("\x1b]0;owned\x07", "]0;owned"),
    "link": ("\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\", "]8;;http://evil\\click]8;;\\"),
    "clipboard": ("\x1b]52;c;cm0gLXJm\x07", "]52;c;cm0gLXJm"),
    "device control": ("\x1bP+q544e\x1b\\", "P+q544e\\"),
    "eight-bit controls": ("\x9b31m\x9d52;c;x\x9c\x90", "31m52;c;x"),
    "overwriting": ("bad\rgood", "badgood"),
    "backspaces": ("bad\b\b\bgood", "badgood"),
    "bell, NUL, DEL": ("a\a\0\x7fb", "ab"),
    "other order": ("\u202egnp.exe\u2066\u2069\u200f\u061c", "gnp.exe"),
    "zero width": ("pay\u200bpal\u200c\u200d\u2060\ufeff\u00ad", "paypal"),
    "git's own name": (".g\u200cit", ".git"),
    "tags that hide words": ("hi\U000e0069\U000e0067", "hi"),
    "selectors that hide bytes": ("a\ufe0f\ufe00\U000e0101b", "ab"),
    "fillers": ("a\u3164\u115f\uffa0b", "ab"),
    "blanks": ("a\u2800\u034f\u17b4\u180b\U00016fe4\U0001d159b", "ab"),
    "format of rare scripts": ("a\u0600\u0605\u06dd\u070f\U00013430\U00013438\U000110bdb", "ab"),
    "half a pair": ("a\ud800b", "a\ufffdb"),
    "other line ends": ("a\r\nb\u2028c\u2029d", "a\nb\nc\nd"),
    "words that need a joiner": (
        "می\u200cخواهم 👩\u200d🚀 ❤\ufe0f 1\ufe0f\u20e3",
        "می\u200cخواهم 👩\u200d🚀 ❤\ufe0f 1\ufe0f\u20e3",
    ),
    "two ways to spell": ("Zoe\u0308", "Zoë"),
    "tabs and lines": ("a\tb\nc", "a\tb\nc"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_text_only_shows(case):
    """An agent could clear people's terminals, set their clipboard, or show them another text than it is."""
    text, expected = HOSTILE[case]
    assert printable(text) == expected
    assert printable(printable(text)) == expected
    printable(text).encode()


def test_no_format_character_is_left():
    """A character that shows nothing could make two names of one look."""
    every = (chr(code) for code in range(sys.maxunicode + 1))
    hidden = [one for one in every if unicodedata.category(one) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    assert {one for one in hidden if one in printable(f"a{one}b")} == {"\t", "\n"}


def test_one_line_is_one(tmp_path):
    """A name could pretend to be further lines of a list, a log or a commit's trailers."""
    assert one_line("a\n\nShiftwork-Session: 7\x85\u2028b\x0b\x0cc\r d") == "a Shiftwork-Session: 7 bc d"


@pytest.mark.parametrize(
    "text",
    [
        "a" + "\u0300\u0327" * 250_000,
        "\u200d" * 500_000,
        "é\u200d" * 250_000,
        "é\ufe0f" * 250_000,
        "─" * 500_000,
    ],
    ids=["marks", "joiners", "joined", "styled", "line"],
)
def test_no_text_takes_long(text):
    """Marks are sorted in the square of their number: a megabyte of them would stop a worker for minutes."""
    shown = []
    assert paces(lambda: shown.append(printable(text))) < 300
    assert len(shown[0]) <= len(text)


def test_json_is_shown_whole_and_safely():
    """A program must get every character; the terminal that shows the document must not act on any."""
    value = {name: text for name, (text, _) in HOSTILE.items()}
    shown = printable_json(value, indent=2)
    assert json.loads(shown) == value
    shown.encode()
    assert unicodedata.normalize("NFC", shown) == printable(shown)
    assert printable_json("é👍") == '"é👍"'


def test_cuts_are_told():
    """People would take a part for the whole, or half a character for a broken file."""
    assert truncate("x" * 100, 40) == "x" * 18 + "… (60 more characters)"
    assert tail("é".encode() * 3, 3) == "é"


def test_text_in_markdown_stays_text():
    """A feature's name would become a link, an image or a script on a page of Temporal's Web UI."""
    assert plain_markdown("![x](http://a.b) <b>\n& www.a.b") == (
        "\\!\\[x\\]\\(http:\\//a.b\\) \\<b\\> \\& www\\.a.b"
    )
    assert plain_markdown("Add export to CSV, 50 % done: a-b/c") == "Add export to CSV, 50 % done: a-b/c"
