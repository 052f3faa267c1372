"""The program of a few hundred bytes that becomes another user, and then a program."""

import os
import subprocess

import pytest
from confinement_support import SYSTEM_PYTHON, bubblewrap, outside_world, start
from landlock_support import open_place

from shiftwork.sandbox.become import program_to_become, tools_to_become
from shiftwork.sandbox.user import can_change_user

USER = 54_321
pytestmark = [
    pytest.mark.skipif(not can_change_user(), reason="only root can give a program another user"),
    pytest.mark.skipif(program_to_become(USER) is None, reason="there is none for this machine"),
]


@pytest.fixture
def become():
    with open_place() as folder:
        path = folder / "become"
        path.write_bytes(program_to_become(USER))
        path.chmod(0o755)
        yield path


def run(*argv, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/", **options)


STATUS = ("/bin/grep", "-E", "^(Uid|Gid|Groups|CapPrm|CapEff|CapAmb):", "/proc/self/status")


def test_it_is_nobody_but_that_user(become):
    """Otherwise a program would keep a user, a group or a capability of root's."""
    done = run(become, *STATUS, extra_groups=[0, 4, 27])
    assert done.stdout == run(*tools_to_become(USER), *STATUS, extra_groups=[0, 4, 27]).stdout
    assert [line.split()[1:] for line in done.stdout.splitlines()] == [
        [str(USER)] * 4,
        [str(USER)] * 4,
        [],
        *[["0" * 16]] * 3,
    ]


def test_a_program_gets_its_arguments_and_environment(become):
    """Otherwise programs would run with others than they were given."""
    code = "import os, sys; print(sys.argv[1:], sorted(os.environ.items()))"
    argv = ("-I", "-S", "-c", code, "a b", "", "ü")
    env = {"ONE": "1 2", "TWO": ""}
    done = run(become, SYSTEM_PYTHON, *argv, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout == run(SYSTEM_PYTHON, *argv, env=env).stdout
    assert run(become, "/usr/bin/env", env={}).stdout == ""


@pytest.mark.parametrize(
    ("content", "mode", "status", "says"),
    [
        (None, 0, 127, "not found"),
        ("echo run", 0o644, 126, "denied"),
        ("#!/no/such/interpreter\n", 0o755, 127, "not found"),
        ("exit 5", 0o755, 5, ""),
    ],
)
def test_it_ends_as_a_shell_would(become, content, mode, status, says):
    """Otherwise nobody would learn why a program can't be run, or scripts without a first line would fail."""
    program = become.with_name("program")
    if content is not None:
        program.write_text(content)
        program.chmod(mode)
    done = run(become, program)
    assert done.returncode == status
    assert says in done.stderr


def test_it_is_not_run_as_somebody_else(become):
    """Otherwise a program could run as root after all where the kernel refuses the change."""
    done = run(become, "/bin/echo", "ran", user=1, group=1, extra_groups=[])
    assert (done.returncode, done.stdout) == (126, "")
    assert "can't be run as another user" in done.stderr


async def test_a_confined_program_gains_nothing_by_it():
    """Otherwise a confined program could become somebody else."""
    if bubblewrap() is None:
        pytest.skip("no bubblewrap works here")
    with outside_world() as world:
        code = "/.become /bin/echo ran; echo $?; echo x >/.become || id -u"
        said = await start(bubblewrap(), ("/bin/sh", "-c", code), confinement=world.confinement())
    lines = said.output.decode().splitlines()
    assert lines[:2] == ["shiftwork: this program can't be run as another user", "126"]
    assert lines[-1] == str(world.user)
    assert os.geteuid() == 0
