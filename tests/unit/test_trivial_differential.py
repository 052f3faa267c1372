"""No command is called trivial that comes out differently where a project is good, broken or missing."""

import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftwork.shells import shell_argv
from shiftwork.verification.tokens import Unclear
from shiftwork.verification.trivial import is_trivial
from shiftwork.verification.walk import MOST_WORK, Walk, Way
from tests.unit.pace_support import paces

ATOMS = (
    *("true", "false", "echo ok", "echo no", "exit", "exit 0", "exit 3", "set -e", "set -o pipefail"),
    *("test -f x", "[ -f x ]", "[[ -f x ]]", "grep -q foo x", "./app", "test -d ./src/..", "test -d ."),
    *("echo ok > dist/out", "true < in.txt", "cat x", "tail -n 1", "cat", "ls", "cd src", "pwd", "X=1"),
    *("./app > /dev/null", "echo bad >&2", "./app 2>&1", "echo *", "test -z ''", "! test -f x", "unknown"),
    *("PATH=.:$PATH", "python3 -V", "python3 -c pass", "grep foo x", "test -f x -a -d src", "(exit 4)"),
    *("./true", "export PATH=$PWD/src", ": > dist/out", "env true", "command test -f x", "printf ok"),
    *("set +e", "set +o pipefail", "sort", "sort -u", "uniq -c", "tr a b", "sed s/a/b/g", "tee", "tee x.log"),
    *("[ 1 -lt 2 ]", "[ 2 -le 1 ]", "timeout 9 true", "timeout 9 ./app", "cd .", "python3 -I -c pass"),
    *("python3 -c 'assert 1 == 1'", "python3 -c 'assert 1 == 2'", "python3 -c 'raise SystemExit'"),
    *("grep -q foo x 2>&1", "{ grep -q foo x; } 2>&1", "[ -f x ] 2>&1", "echo ok 2>&1", "(./app) 2>&1"),
)
JOINTS = ("; ", "\n", " && ", " || ", " | ", " &&\n", " ||\n", " |\n", " \\\n && ")
FRAMES = (
    *("({})", "{{ {}; }}", "! {}", "if {}; then true; else false; fi", "if true; then {}; fi"),
    *("sh -c '{}'", "bash -ec '{}'", "bash -eo pipefail -c '{}'", "if {}; then echo a; else echo b; fi"),
)


RUN = 100
"""Of those that are called trivial; each takes three shells."""


def scripts(number: int) -> list[str]:
    """Random commands of these parts; always the same ones."""
    chance = random.Random(11)
    found = list(ATOMS)
    while len(found) < number:
        script = chance.choice(ATOMS)
        for _ in range(chance.randint(1, 4)):
            turn = chance.random()
            if turn < 0.75:
                script += chance.choice(JOINTS) + chance.choice(ATOMS)
            elif "'" not in script:
                script = chance.choice(FRAMES).format(script)
        found.append(script)
    return found


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """A project that works, one that doesn't, and none."""
    good, broken, none = (tmp_path / name for name in ("good", "broken", "none"))
    for folder in (good, broken):
        (folder / "src").mkdir(parents=True)
        for name in ("app", "true", "src/test", "src/python3"):
            (folder / name).write_text(f"#!/bin/sh\necho {folder.name}\nexit {int(folder is broken)}\n")
            (folder / name).chmod(0o755)
    (good / "dist").mkdir()
    (good / "in.txt").write_text("in")
    (good / "x").write_text("foo\n")
    none.mkdir()
    return [good, broken, none]


def outcome(command: str, folder: Path) -> tuple[int, bytes]:
    """What it yields there."""
    done = subprocess.run(
        shell_argv(command), cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return done.returncode, done.stdout


def test_what_is_called_trivial_comes_out_alike_everywhere(folders) -> None:
    """A step that tells a good project from a broken one, refused: a feature that can't be added."""
    looked_at = [
        (one, output) for one in scripts(4000) for output in (True, False) if is_trivial(one, output=output)
    ]
    random.Random(5).shuffle(looked_at)
    assert len(looked_at) > 400
    for command, output in looked_at[:RUN]:
        ends = {outcome(command, folder)[: 1 + output] for folder in folders}
        assert len(ends) == 1, (command, output)


PIECES = st.sampled_from(
    [
        *ATOMS,
        *JOINTS,
        *"'\"\\$`(){}[]<>&|;!#*~= \n\t\r0",
        "$((",
        "<<<",
        "$'",
        "${x}",
        "if",
        "then",
        "fi",
        "²",
        "\ud800",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=300), st.lists(PIECES, max_size=60).map("".join)), st.booleans())
def test_no_command_makes_it_raise(command: str, output: bool) -> None:  # noqa: FBT001 - of hypothesis
    """A page of features that can't be shown, or a plan that is adopted again and again."""
    assert isinstance(is_trivial(command, output=output), bool)


HARD = (
    "exit " + "9" * 5000,
    "exit " + "9" * 1900,
    "[ " + "9" * 900 + " -eq " + "9" * 900 + " ]",
    "test " + "! " * 3000 + "x",
    "test " + "! " * 900 + "x",
    ";" * 20_000,
    "'" * 20_000,
    "(" * 900 + ")" * 900,
    "{ " * 600 + "}; " * 200,
    "! " * 900 + "true",
    "if " * 600,
    "true && " * 250 + "./app",
    "python -c '" + "(" * 1900 + "'",
    "python -c '" + "-" * 1900 + "1'",
    "(test -f a && echo a; " * 80 + ")" * 80,
    "test -f a && (exit 2); test -f b && (exit 3); " * 40,
    "sh -c 'sh -c \"sh -c true\"'; " * 60,
    "{ ./a && (exit 1) || (exit 2); " * 11 + "./a && (exit 3) || (exit 4); " * 40 + "}; " * 11,
    "\0",
    "exit ²",
    "echo \ud800",
)


@pytest.mark.parametrize("command", HARD, ids=range(len(HARD)))
def test_no_command_takes_long_or_makes_it_raise(command: str) -> None:
    """A worker that one command keeps busy, or a plan that is adopted again and again."""
    assert paces(lambda: [is_trivial(command), is_trivial(command, output=False)]) < 200


def test_much_that_is_looked_at_on_many_ways_is_given_up() -> None:
    """A short command that is followed on thousands of ways."""
    one = "./a && (exit 1) || ./b && (exit 2) || ./c && (exit 3); "
    walk = Walk(f"{{ {one * 4}" * 8 + one * 4 + "}; " * 8)
    with pytest.raises(Unclear):
        walk.ends(Way(said=None))
    assert walk.work < 2 * MOST_WORK
