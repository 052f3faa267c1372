"""What opens a confined program's network becomes its user, and runs nothing of its own for that."""

import os
from pathlib import Path

import pytest
from confinement_support import SYSTEM_PYTHON, Outcome, Outside, bubblewrap, confined_to, outside_world, start

from shiftwork.sandbox.confinement import Network
from shiftwork.sandbox.door import open_door, receive_listener

SANDBOX = bubblewrap()
pytestmark = pytest.mark.skipif(SANDBOX is None or not SYSTEM_PYTHON, reason="no bubblewrap works here")


@pytest.fixture
def outside():
    with outside_world() as world:
        yield world


async def behind_a_door(outside: Outside, command: str, **options) -> Outcome:
    ours, theirs = open_door()
    argv = ("/bin/sh", "-c", command)
    with ours, theirs:
        network = confined_to(outside, Network.DOOR)
        outcome = await start(SANDBOX, argv, confinement=network, door=theirs.fileno(), **options)
        (await receive_listener(ours)).close()
    return outcome


async def test_the_program_is_its_user_and_nothing_more(outside):
    """Otherwise an agent with a gateway would keep root's user, groups or capabilities."""
    user = os.geteuid() if outside.user is None else outside.user
    status = (await behind_a_door(outside, "cat /proc/self/status; touch made")).output.decode()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert set(fields["Uid"].split()) == {str(user)}
    assert [fields[name] for name in ("CapPrm", "CapEff", "CapAmb")] == ["0" * 16] * 3
    assert (outside.workspace / "made").stat().st_uid == user
    if outside.user is not None:
        assert (set(fields["Gid"].split()), fields["Groups"].strip()) == ({str(user)}, "")


async def test_a_folder_of_nobody_elses_can_be_entered(outside):
    """Otherwise an agent with a gateway could not work in a workspace that only its user may enter."""
    outside.workspace.chmod(0o700)
    outcome = await behind_a_door(outside, "pwd")
    assert (outcome.code, outcome.output) == (0, b"/workspace\n")
    outcome = await behind_a_door(outside, "pwd", cwd=Path("/no/such/folder"))
    assert (outcome.code, outcome.output) == (126, b"/no/such/folder: No such file or directory\n")


async def test_the_program_is_told_where_it_is(outside):
    """Otherwise a program that believes `PWD`, as opencode does, would work in the wrong folder."""
    outcome = await behind_a_door(outside, "tr '\\0' '\\n' < /proc/$$/environ | grep ^PWD=")
    assert outcome.output == b"PWD=/workspace\n"


async def test_the_loader_s_variables_do_not_reach_the_stub(outside):
    """Otherwise a library of an agent's would run while that is still root."""
    env = {"LD_DEBUG": "files", "LD_DEBUG_OUTPUT": "/workspace/loaded"}
    await behind_a_door(outside, "true", env=env)
    loaded = "".join(path.read_text() for path in outside.workspace.glob("loaded.*"))
    assert "/bin/sh" in loaded
    assert "python" not in loaded
