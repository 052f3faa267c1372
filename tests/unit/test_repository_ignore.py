"""`.gitignore` means what it means to git, and no line of it takes long."""

import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftwork.repository.ignore import IgnoreFile
from tests.unit.pace_support import paces

PIECES = [
    "a",
    "b",
    "*",
    "**",
    "?",
    "/",
    "!",
    "\\",
    "[ab]",
    "[!a]",
    "[^b]",
    "[a-c]",
    "[",
    "]",
    " ",
    "#",
    ".",
    "[[:digit:]]",
    "1",
]


def _plain(line: str) -> bool:
    """Whether no bracket holds a slash; for us a slash always separates names."""
    return re.search(r"\[[^]]*/", line) is None


LINES = st.lists(
    st.lists(st.sampled_from(PIECES), max_size=6).map("".join).filter(_plain), min_size=1, max_size=4
)
FOLDERS = ("", "a/", "b/", "a/b/", "b/a/", "b/a/a/")
NAMES = ("a", "b", "ab", ".a", "a b", "1", "b1", "#a", "!a", "[", "aa.b")
PATHS = [folder + name for folder in FOLDERS for name in NAMES if f"{folder}{name}/" not in FOLDERS]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A repository of git's own, to ask what git would say; the folders exist."""
    folder = tmp_path_factory.mktemp("oracle")
    subprocess.run(["git", "init", "-q", folder], check=True)
    for inner in FOLDERS:
        (folder / inner).mkdir(parents=True, exist_ok=True)
    return folder


def said_by_git(folder, lines: list[str]) -> set[str]:
    """The paths that git takes for matched by a pattern that ignores, asking for files by their own name."""
    (folder / ".gitignore").write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        ["git", "-c", "core.excludesFile=/dev/null", "check-ignore", "--no-index", "--stdin"],
        cwd=folder,
        input="\n".join(PATHS),
        capture_output=True,
        text=True,
        check=False,
    )
    return {line.strip('"') for line in done.stdout.splitlines()}


def said_by_us(lines: list[str]) -> set[str]:
    """The same by our rules: a path is ignored if it or a folder above it is."""
    rules = IgnoreFile.parse("\n".join(lines).encode())
    ignored = set()
    for path in PATHS:
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            if rules.verdict(parts[:depth], folder=depth < len(parts)):
                ignored.add(path)
                break
    return ignored


@settings(max_examples=150, deadline=None)
@given(lines=LINES)
def test_rules_mean_what_git_makes_of_them(checkout, lines):
    """Files that people ignore would be committed, or their work left out."""
    assert said_by_us(lines) == said_by_git(checkout, lines)


@pytest.mark.parametrize(
    ("line", "name"),
    [("*a" * 40 + "*b", "a" * 250), ("**/" * 60 + "b", "a/" * 200 + "a"), ("[a-z]*" * 40 + "!", "a" * 250)],
)
def test_no_line_takes_long(line, name):
    """One line of an agent would stop the harness for hours."""
    rules = IgnoreFile.parse(line.encode())
    assert paces(lambda: rules.verdict(name.split("/"), folder=False)) < 60
    assert rules.verdict(name.split("/"), folder=False) is None
