"""Asking a program for its version, whatever that program does."""

import pytest

from shiftwork.agents.program import NOT_ASKED, ask_version, find_program
from shiftwork.sandbox.user import can_change_user
from tests.unit.process_support import living, token, wait_until_dead
from tests.unit.restricted_support import UNUSABLE, run_restricted


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
    said, wrong = ask_version(program(f"sleep {word} & sleep {word}"), seconds=0.7)
    assert said is None
    assert "does not end" in wrong
    said, wrong = ask_version(program(f"sleep {word} >/dev/null & echo 2"), seconds=30)
    assert (said, wrong) == ("2", None)
    assert wait_until_dead(word) == []
    assert living(word) == []


def test_a_program_is_asked_without_keys_and_confined(program, tmp_path_factory, monkeypatch):
    """Otherwise a specification's program would be given the worker's keys and files by the look at it."""
    secret = tmp_path_factory.mktemp("home") / "secret"
    secret.write_text("canary")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary")
    script = f'echo "1$ANTHROPIC_API_KEY$(cat {secret} 2>/dev/null)"; echo x 2>/dev/null >>{secret}; exit 0'
    assert ask_version(program(script)) == ("1", None)
    assert secret.read_text() == "canary"


def test_a_program_is_asked_as_another_user_than_root(program, tmp_path):
    """Otherwise a program that a specification names would read as root what lies beside it."""
    if not can_change_user():
        pytest.skip("only root can change the user")
    private = tmp_path / "private"
    private.write_text("canary")
    private.chmod(0o600)
    said, wrong = ask_version(program(f"cat {private} 2>/dev/null; id -u"))
    assert wrong is None
    assert int(said) > 65_535


def test_a_program_is_asked_within_limits(program):
    """Otherwise one that answers nothing could fill the disk, or start processes without end."""
    said, wrong = ask_version(program("exec head -c 200000000 /dev/zero >~/large"))
    assert said is None
    assert "The limit file_size_mb of 100 was breached" in wrong


def test_a_wrong_minimum_is_the_settings_fault(program, monkeypatch):
    """Otherwise people would install a program again that is whole."""
    monkeypatch.setenv("SHIFTWORK_SANDBOX_MINIMUM", "strongest")
    said, wrong = ask_version(program("echo 1"))
    assert said is None
    assert wrong.startswith("SHIFTWORK_SANDBOX_MINIMUM is 'strongest'; it must be one of bwrap")


BELOW = """\
import asyncio, sys
from shiftwork.agents.program import ask_version
from shiftwork.runner import AgentConfig, LocalProcessRunner, ProcessRunnerConfig
from shiftwork.runner.failures import SpawnFailed
print(ask_version(sys.argv[1]))
async def spawn():
    async with LocalProcessRunner(ProcessRunnerConfig(commands={"x": [sys.argv[1]]})) as runner:
        try:
            await runner.spawn(AgentConfig("a", "x", "task"))
        except SpawnFailed as error:
            print(error)
asyncio.run(spawn())
"""


def test_nothing_runs_below_the_minimum(program, tmp_path):
    """Otherwise `doctor`, `start` and a runner would run an agent's program where no worker does."""
    marked = program(f"touch {tmp_path}/ran; echo 1")
    done = run_restricted("-P", "-c", BELOW, marked, SHIFTWORK_SANDBOX_MINIMUM="bwrap", TMPDIR=str(tmp_path))
    if done.returncode == UNUSABLE:
        pytest.skip("this machine can't be restricted")
    version, refused = done.stdout.splitlines()
    assert version == str((NOT_ASKED, None)), done.stderr
    assert "reaches the minimum 'bwrap'" in refused
    assert not (tmp_path / "ran").exists()


def test_a_name_that_names_nothing(program):
    """Otherwise a wrong setting would be an error of ours, and be tried again for ever."""
    for name in ("~nobody-of-that-name/x", "a\0b", "", "/tmp"):
        assert find_program(name) is None
    assert "does not run" in ask_version("/no/such/program")[1]
