"""Asking a program for its version, whatever that program does."""

import time

import pytest

from shiftwork.agents.program import ask_version, find_program
from tests.unit.process_support import living, token, wait_until_dead


@pytest.fixture
def program(tmp_path):
    def write(script: str) -> str:
        path = tmp_path / "program"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    return write


@pytest.mark.parametrize(
    ("script", "version", "problem"),
    [
        ("echo 1.2.3", "1.2.3", None),
        (r"printf '\377 v\033[1m2\n3'", "\ufffd v[1m2 3", None),
        ("exit 3", None, "status 3"),
        ("echo 1.2; exit 3", None, "status 3"),
        ("true", None, "silence"),
        ("yes", None, "far too much"),
    ],
)
def test_what_a_program_says_of_itself(program, script, version, problem):
    """Otherwise `doctor` would fail, fill its memory, or show what a terminal obeys."""
    said, wrong = ask_version(program(script))
    assert said == version
    assert (problem is None) == (wrong is None)
    assert not problem or problem in wrong


def test_nothing_of_a_query_lives_on(program):
    """Otherwise `doctor` would leave processes behind, or wait for them."""
    word = token()
    started = time.monotonic()
    said, wrong = ask_version(program(f"sleep {word} & sleep {word}"), seconds=0.7)
    assert said is None
    assert "does not end" in wrong
    said, wrong = ask_version(program(f"sleep {word} >/dev/null & echo 2"), seconds=5)
    assert (said, wrong) == ("2", None)
    assert time.monotonic() - started < 5
    assert wait_until_dead(word, 2) == []
    assert living(word) == []


def test_a_name_that_names_nothing(program):
    """Otherwise a wrong setting would be an error of ours, and be tried again for ever."""
    for name in ("~nobody-of-that-name/x", "a\0b", "", "/tmp"):
        assert find_program(name) is None
    assert "does not run" in ask_version("/no/such/program")[1]
