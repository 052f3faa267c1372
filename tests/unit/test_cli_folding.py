"""What the command line prints has room in the terminal, and is broken between words."""

import re
import shlex

import pytest

from client.cli.folding import folded
from client.cli.layout import laid_out
from client.cli.output import pairs, table
from client.cli.parser import build_parser
from client.cli.table import COMMANDS, GROUPS

WIDTHS = (60, 80, 120)
PATH = "/home/somebody/projects/a-rather-long-name/that/has/no/gaps/anywhere/and/goes/on"


def help_of(name: str, width: int, capsys, monkeypatch) -> str:
    """What `--help` prints on a terminal of this width."""
    monkeypatch.setenv("COLUMNS", str(width))
    with pytest.raises(SystemExit):
        build_parser().parse_args([*name.split(), "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["", *GROUPS, *(command.name for command in COMMANDS)])
def test_help_has_room(name, width, capsys, monkeypatch):
    """If it failed, a newcomer's first page would be broken by the terminal in the middle of words."""
    shown = help_of(name, width, capsys, monkeypatch)
    assert max(map(len, shown.splitlines())) <= width
    example = next((each.example for each in COMMANDS if each.name == name), "")
    _, _, typed = shown.partition("example:\n")
    assert shlex.split(typed.replace("\\\n", ""), comments=True) == shlex.split(example, comments=True)


def test_every_command_has_its_line(capsys, monkeypatch):
    """If it failed, the names of some commands would stand on a line apart from what they do."""
    for command in COMMANDS:
        group, _, action = command.name.rpartition(" ")
        shown = help_of(group, 80, capsys, monkeypatch)
        assert re.search(rf"^    {action} +{re.escape(command.help[:30])}", shown, re.MULTILINE)
    shown = help_of("", 80, capsys, monkeypatch)
    for group, about in GROUPS.items():
        assert re.search(rf"^    {group} +{re.escape(about[:30])}", shown, re.MULTILINE)


def test_folding_cuts_no_word():
    """If it failed, a path or a command could not be copied, or would be read wrongly."""
    text = f"  session 1: greeting: a well-known way is {PATH} and more"
    lines = folded(text, width=40).split("\n")
    assert all(line.startswith("    ") for line in lines[1:])
    assert [line.strip() for line in lines if len(line) > 40] == [PATH]
    assert " ".join(line.strip() for line in lines) == text.strip()
    assert folded(text, width=200) == text
    assert folded(f"one\n{text}", hang=0) == f"one\n{text}"  # standard output is no terminal here


def test_values_stand_under_one_another():
    """If it failed, a long value would go on under the names."""
    rows = [("a", "one two three four"), ("long name", "five"), ("copy", "git clone x")]
    assert pairs(rows, whole=("copy",), width=20).split("\n") == [
        "a          one two",
        "           three",
        "           four",
        "long name  five",
        "copy       git clone x",
    ]


def test_a_table_that_has_no_room_becomes_lines():
    """If it failed, columns would be mixed up by the terminal."""
    head = tuple(f"column {letter}" for letter in "abcdef")
    assert table(head, [("a word",) * 6, ("other",) * 6], width=40).split("\n")[5:8] == [
        "COLUMN F  a word",
        "",
        "COLUMN A  other",
    ]
    assert len(table(head, [("a word",) * 6], width=70).split("\n")) == 2


def test_a_path_in_a_column_is_cut_at_slashes():
    """If it failed, names of folders would be cut where there is room for them."""
    text = table(("name", "path"), [("x", PATH), ("a-long-name-with-hyphens", "y")], width=60)
    lines = text.split("\n")
    assert max(map(len, lines)) <= 60
    assert "".join(line[26:] for line in lines[1:-1]) == PATH
    assert all(line.endswith("/") for line in lines[1:-2])
    assert lines[-1].startswith("a-long-name-with-hyphens  y")


MARKDOWN = r"""# a\_name

- Status: **paused**: because of `this` and of a great many other things that were said

## Sessions

| session | done by | took | error |
|---|---|---|---|
| 1 | session: x | 2 s |  |
| 2 | a\|b | 3 s |  |

```text
| left | as_it_is |  **and this goes on beyond the width of the terminal**
```
"""


def test_a_report_is_laid_out():
    """If it failed, a report would be shown as the source of a page."""
    assert laid_out(MARKDOWN, 40).split("\n") == [
        "a_name",
        "══════",
        "",
        "- Status: paused: because of this and of",
        "  a great many other things that were",
        "  said",
        "",
        "Sessions",
        "────────",
        "",
        "SESSION  DONE BY     TOOK",
        "1        session: x  2 s",
        "2        a|b         3 s",
        "",
        "    | left | as_it_is |  **and this goes on beyond the width of the terminal**",
    ]
