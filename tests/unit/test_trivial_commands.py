"""Which commands show nothing."""

import pytest

from shiftwork.contracts.feature import FeatureSpec
from shiftwork.verification.trivial import is_trivial, proves_nothing


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
        "sh -ec 'echo ok; exit 0'",
        "make | echo done",
        "command true",
        "env true",
        "env A=1 true",
        "X=1 true",
        "X=1",
        "time true",
        "true > /dev/null 2>&1",
        "test 1",
        "test -n x",
        "test -z ''",
        "[ 1 = 1 ]",
        "[[ a != b ]]",
        "[ 3 -eq 3 ]",
        "test ! 1 = 2",
        "test -d .",
        "test -e ./",
        "[ -d / ]",
        "python3 -c pass",
        "python -c 'print(\"ok\")'",
        "python3 -c 'import sys; sys.exit(0)'",
        "if true; then exit 0; fi",
        "test -e x || true",
        "test -e x; true",
        "test -e x && true || echo ok",
        "grep -q main app.py || exit 0",
        "test -f build/out\nexit 0",
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
        "ls",
        "ls dist",
        "ls dist/*.whl",
        "test -f build/out",
        "[ -s . ]",
        "test -x ./run",
        '[ -n "$VERSION" ]',
        "test -e a || test -e b",
        "test -e a && true",
        "test -e a || exit 1",
        "test -e a || exit 1; true",
        "test -e a && exit 0; exit 1",
        "test -e a || { echo missing; false; }",
        "set -e; test -e a; true",
        "set -e\ntest -e a\necho ok",
        "bash -ec 'test -e a; true'",
        "if test -e a; then exit 0; fi; exit 1",
        "! test -e a",
        "test -e a; echo $?",
        "./app ';' true",
        "./app '; exit 0'",
        "./app \\; true",
        "cd sub && true",
        "command -v node",
        "env PORT=1 ./app",
        "X=1 ./app",
        "X=$Y ./app",
        "./app > /dev/null",
        "true > /dev/null; ./app",
        "python3 -c 'import app'",
        "python3 -c 'assert open(\"a\").read()'",
        "python3 -c 'print(open(\"a\"))'",
        "python3 app.py",
        "./serve & sleep 1; curl -f localhost",
        "yes | ./app",
        "PATH=.:bin ./app",
        "PYTHONPATH=src:lib pytest",
        "pytest -k true:false",
        "PATH=.:$PATH app; test -e out",
        "./app 2>&1 | grep -q ok",
        'test "$(./app)" = ok',
        "./app --mode if; test -e a",
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


@pytest.mark.parametrize(
    ("command", "trivial"),
    [
        ("ls", True),
        ("ls -la .", True),
        ("pytest || true", True),
        ("pytest; echo done", True),
        ("pytest || exit 0", True),
        ("ls app.py", False),
        ("pytest", False),
        ("pytest && echo done", False),
        ("set -e; pytest; echo done", False),
        ("make || exit 1; echo done", False),
        ("./app ';' true", False),
    ],
)
def test_what_always_succeeds_shows_something_only_by_what_it_says(command: str, *, trivial: bool) -> None:
    """Broken, a step would count whose status is always the same, or one whose output shows it would not."""
    assert is_trivial(command, output=False) is trivial
    assert not is_trivial(command)


def test_the_step_that_proves_nothing_is_named() -> None:
    """Broken, people would have to find it among the others."""
    good, listed = {"command": "make test"}, {"command": "ls", "expect_output": "app.py"}
    spec = FeatureSpec(name="a", verification_steps=(good, listed, {"description": "pretty"}))
    assert proves_nothing(spec) is None
    empty = FeatureSpec(name="a", verification_steps=(good, {"command": "ls"}))
    assert "feature 'a', step 2 checks nothing: 'ls' comes out alike" in (proves_nothing(empty) or "")
