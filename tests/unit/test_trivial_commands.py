"""Which commands show nothing."""

import pytest

from shiftwork.verification.trivial import is_trivial


@pytest.mark.parametrize(
    "command",
    [
        "",
        "  \n ",
        "# all is well",
        "true",
        " : ",
        "exit 0",
        "exit 3",
        "false",
        "/bin/true",
        "true ; true",
        "true && exit 0",
        "(true)",
        "{ true; }",
        "! false",
        "true # it works",
        "echo ok",
        "echo 'tests passed; all 12'",
        "printf '%s\\n' ok && exit 0",
        "echo ok | echo fine",
        "true\nexit 0",
        "# all is well\ntrue",
        "sh -c true",
        "bash -c 'echo ok; exit 0'",
    ],
)
def test_what_comes_out_alike_whatever_the_project_holds_is_trivial(command: str) -> None:
    """Broken, a step would count as shown by a command that can't fail."""
    assert is_trivial(command)


@pytest.mark.parametrize(
    "command",
    [
        "make test",
        "test -e app.py",
        "true && test -e app.py",
        "echo start; pytest -q",
        "echo $(cat VERSION)",
        "echo `cat VERSION`",
        "echo src/*.py",
        "truecolor --check",
        "python -c 'import app'",
        "sh run.sh",
        "sh -c 'make test'",
        "# run\nmake test",
        "pytest || true",
        "echo 'no end",
        "echo a#b; make test",
        "echo ' # '; make test",
        "echo a | ./app",
        "./app < input.txt",
    ],
)
def test_what_looks_at_the_project_is_not_trivial(command: str) -> None:
    """Broken, good evidence would be refused."""
    assert not is_trivial(command)
