"""Which shell runs what projects say, and what it says of commands that it can't read."""

import contextlib
import os
import socket
import subprocess
from pathlib import Path

import pytest

from shiftwork.agents.langchain.program.shell import Shell as AgentShell
from shiftwork.contracts.feature import FeatureSpec
from shiftwork.runner.spec import ProcessResult
from shiftwork.sandbox.choose import choose_sandbox
from shiftwork.shells import complaint, find_shell, shell_argv, shell_name, unsteered
from shiftwork.verification.flaws import flaw
from shiftwork.verification.shell import Shell

HAS_BASH = os.access("/bin/bash", os.X_OK) or os.access("/usr/bin/bash", os.X_OK)
bash_only = pytest.mark.skipif(not HAS_BASH, reason="there is no bash")
STRICT = "set -euo pipefail; [[ -n x ]]; a=(1 2); echo ${#a[@]}"


async def verified(command: str, folder: Path, **env: str) -> ProcessResult:
    """What it yields as a verification step."""
    checkout = folder / "checkout"
    checkout.mkdir(exist_ok=True)
    shell = Shell(choose_sandbox())
    return await shell.run(command, cwd=checkout, scratch=folder / "scratch", timeout=60, env=env)


def test_bash_is_taken_where_there_is_one() -> None:
    """Agents would try a command with one shell, and be judged with another."""
    assert shell_name() == ("bash" if HAS_BASH else "sh")
    assert find_shell().startswith("/")


@bash_only
async def test_a_step_may_be_written_for_bash(tmp_path: Path) -> None:
    """A step that an agent tried with its own shell fails five times, and blocks its feature."""
    result = await verified(STRICT, tmp_path)
    assert (result.exit_status, result.stdout_tail) == (0, b"2\n")


@bash_only
def test_agents_and_steps_have_the_same_shell(tmp_path: Path) -> None:
    """What an agent tried would mean something else when it is verified."""
    assert AgentShell(tmp_path, {"PATH": os.defpath}, 1000).run(STRICT, 60).output == "2\n"


async def test_nothing_that_lies_about_comes_before_a_step(tmp_path: Path) -> None:
    """Files of a project or of who runs the worker would change what a step yields."""
    for name in (".bashrc", ".profile", ".bash_profile"):
        for folder in ("scratch", "checkout"):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / name).write_text("echo steered\n")
    steered = str(tmp_path / "scratch" / ".bashrc")
    result = await verified("echo plain", tmp_path, BASH_ENV=steered, ENV=steered)
    assert result.stdout_tail == b"plain\n"


def test_a_shell_that_hears_a_socket_reads_no_file_first(tmp_path: Path) -> None:
    """Bash would take itself for the shell of a remote login, and execute what a step left in its home."""
    (tmp_path / ".bashrc").write_text("echo steered\n")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            shell_argv("echo plain"),
            stdin=theirs,
            capture_output=True,
            env={"HOME": str(tmp_path), "PATH": os.defpath},
            check=True,
        )
    assert done.stdout == b"plain\n"


def test_what_steers_a_shell_is_left_out() -> None:
    """A variable of the worker's would be executed before each step."""
    given = {
        "BASH_ENV": "a",
        "ENV": "b",
        "SHELLOPTS": "xtrace",
        "BASH_FUNC_ls%%": "() { :; }",
        "PATH": "/bin",
    }
    assert unsteered(given) == {"PATH": "/bin"}


@pytest.mark.parametrize(
    "command",
    [
        "if true; then echo",
        "echo 'no end",
        "(true",
        "true && && false",
        "done",
        "pytest -q\nfor x in; do",
    ],
)
def test_a_command_that_no_shell_reads_is_complained_of(command: str) -> None:
    """A step that can't ever pass costs five attempts."""
    said = complaint(command)
    assert said is not None
    assert "\n" not in said
    spec = FeatureSpec(name="a", verification_steps=({"command": "make test"}, {"command": command}))
    assert f"feature 'a', step 2: {shell_name()} can't read {command!r} ({said})" == flaw(spec)


@pytest.mark.parametrize(
    "command",
    [
        "make test",
        "-x",
        "cat <<E\nno end",
        "shopt -s extglob\nls !(x)",
        "grep -q 'it''s' x || exit 3",
        "unknown --option",
        "\0",
        "\ud800",
        "x" * 300_000,
        "é → ü",
    ],
    ids=range(10),
)
def test_a_command_that_can_be_read_is_not(command: str) -> None:
    """A good step would be refused, or one that nobody can tell of raise an error."""
    assert complaint(command) is None


@bash_only
def test_what_only_bash_reads_is_fine() -> None:
    """Steps for the shell that runs them, refused."""
    assert complaint("[[ -f x && $(<x) =~ (a|b) ]]; a=(1 2); diff <(ls) <(ls)") is None


@pytest.mark.parametrize(
    "command",
    [
        "touch left",
        "$(touch left)",
        "a[$(touch left)]=1",
        "cat <<E\n$(touch left)\nE",
        "set +n; touch left",
        "set +n\ntouch left",
        "trap 'touch left' EXIT",
        "exec >left",
        "echo ${x:=$(touch left)}",
        "`touch left`",
    ],
    ids=range(10),
)
def test_reading_executes_nothing(tmp_path: Path, command: str) -> None:
    """A command is executed where it is only looked at: in a client, outside of any sandbox."""
    with contextlib.chdir(tmp_path):
        complaint(command)
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_takes_too_long_to_read_is_let_pass() -> None:
    """Somebody's command would keep a worker or a client busy for ever."""
    assert complaint("(" * 20_000) != ""
    assert complaint("$((" * 7_000) != ""
