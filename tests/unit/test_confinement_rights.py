"""What rights a confined program has, and that what is left of others can't be turned into any."""

import asyncio
import os
import shutil
import struct
import subprocess
import sys

import pytest
from confinement_support import SYSTEM_PYTHON, bubblewrap, confined_to, outside_world, start

from shiftwork.sandbox.confinement import Network
from shiftwork.sandbox.door import open_door
from shiftwork.sandbox.user import can_change_user

SANDBOX = bubblewrap()
pytestmark = pytest.mark.skipif(SANDBOX is None or not SYSTEM_PYTHON, reason="no bubblewrap works here")
AS_ROOT = can_change_user() if sys.platform == "linux" else False
ALL = 0xFFFFFFFF
SET_USER = 1 << 7


@pytest.fixture(scope="module")
def outside():
    with outside_world() as world:
        yield world


def rights_of(output: bytes) -> dict[str, int]:
    """The sets of capabilities, and whether new privileges are ruled out, from a process's status."""
    lines = (line.partition(":") for line in output.decode().splitlines())
    return {name: int(value, 16) for name, _, value in lines if name.startswith(("Cap", "NoNewPrivs"))}


async def run_confined(outside, argv, network=Network.NONE) -> bytes:
    ours, theirs = open_door()
    with ours, theirs:
        door = theirs.fileno() if network is Network.DOOR else None
        confinement = confined_to(outside, network)
        return (await start(SANDBOX, argv, confinement=confinement, door=door)).output


@pytest.mark.parametrize("network", [Network.NONE, Network.DOOR])
async def test_a_program_has_no_right_and_gains_none(outside, network):
    """Otherwise a program could change its user, other users' files, or the kernel's settings."""
    output = await run_confined(outside, ("/bin/cat", "/proc/self/status"), network)
    rights = rights_of(output)
    assert {name: rights[name] for name in ("CapPrm", "CapEff", "CapAmb")} == dict.fromkeys(
        ("CapPrm", "CapEff", "CapAmb"), 0
    )
    assert rights["NoNewPrivs"] == 1


async def test_nothing_that_a_program_sees_can_lend_it_rights(outside):
    """Otherwise a set-user-id program, or one with capabilities, would count where it lies on one mount."""
    mounts = (await run_confined(outside, ("/bin/cat", "/proc/self/mounts"))).decode().splitlines()
    assert mounts
    assert [mount for mount in mounts if "nosuid" not in mount.split()[3].split(",")] == []


@pytest.mark.skipif(not AS_ROOT, reason="only root can lend rights by a file")
@pytest.mark.parametrize(
    ("permitted", "inheritable"), [(ALL, 0), (0, ALL), (ALL, ALL)], ids=["permitted", "inheritable", "both"]
)
@pytest.mark.parametrize("network", [Network.NONE, Network.DOOR])
async def test_a_file_with_capabilities_lends_none(outside, permitted, inheritable, network):
    """Otherwise what a program inherits or is bounded by would be real, as in the control."""
    tool = outside.tools / "cat"
    shutil.copy("/bin/cat", tool)
    # `struct vfs_cap_data` of its second version, effective at once.
    parts = (0x02000000 | 1, permitted & SET_USER, inheritable & SET_USER, 0, 0)
    os.setxattr(tool, "security.capability", struct.pack("<5I", *parts))
    rights = rights_of(await run_confined(outside, ("/tools/cat", "/proc/self/status"), network))
    assert [rights[name] for name in ("CapPrm", "CapEff", "CapAmb")] == [0, 0, 0]
    nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=+setuid")
    argv = (*nobody, str(tool), "/proc/self/status")
    assert rights_of(await asyncio.to_thread(subprocess.check_output, argv))["CapEff"] == SET_USER


@pytest.mark.parametrize("network", [Network.NONE, Network.DOOR])
async def test_what_a_program_inherits_it_cannot_take_on(outside, network):
    """Otherwise inheritable capabilities, which stay behind, could be made effective or ambient ones."""
    lines = (
        "import ctypes, os\n"
        "libc = ctypes.CDLL(None)\n"
        "header = (ctypes.c_uint32 * 2)(0x20080522, 0)\n"
        "for bit in range(int(open('/proc/sys/kernel/cap_last_cap').read()) + 1):\n"
        "    own = (ctypes.c_uint32 * 6)()\n"
        "    libc.capget(header, own)\n"
        "    for part in (0, 1):\n"
        "        own[3 * (bit // 32) + part] |= 1 << bit % 32\n"
        "    took = libc.capset(header, own)\n"
        "    raised = libc.prctl(47, 2, bit, 0, 0)\n"  # PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE
        "    if 0 in (took, raised): print('ESCAPED', bit)\n"
        "for call in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0])):\n"
        "    try: call()\n"
        "    except OSError: continue\n"
        "    print('ESCAPED', os.getresuid())\n"
        "print(open('/proc/self/status').read())\n"
    )
    if not AS_ROOT:
        pytest.skip("an ordinary user may keep the group it has")
    output = await run_confined(outside, (SYSTEM_PYTHON, "-I", "-S", "-c", lines), network)
    assert b"ESCAPED" not in output
    rights = rights_of(output)
    assert [rights[name] for name in ("CapPrm", "CapEff", "CapAmb")] == [0, 0, 0]
