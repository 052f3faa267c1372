"""What a program confined by namespaces can't do, and what it still can."""

import asyncio
import subprocess
import sys

import pytest
from confinement_probes import PROBES, Probe
from confinement_support import (
    ESCAPED,
    PATH,
    SYSTEM_PYTHON,
    Outside,
    bubblewrap,
    confined_to,
    outside_world,
    start,
)

from shiftwork.sandbox.user import can_change_user

SANDBOX = bubblewrap()
pytestmark = pytest.mark.skipif(SANDBOX is None or not SYSTEM_PYTHON, reason="no bubblewrap works here")
AS_ROOT = can_change_user() if sys.platform == "linux" else False


@pytest.fixture(scope="module")
def outside():
    with outside_world() as world:
        yield world


def argv_of(probe: Probe) -> tuple[str, ...]:
    if probe.language == "py":
        return (SYSTEM_PYTHON, "-I", "-S", "-c", probe.lines)
    return ("/bin/sh", "-c", probe.lines)


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
async def test_no_way_leads_out(outside: Outside, probe: Probe):
    """Otherwise an agent would get out of its sandbox this way; the control shows that it is one."""
    if probe.confined_by_user and not AS_ROOT:
        pytest.skip("only root can give a program another user")
    env = {**outside.env, "TOOLS": "/tools"}
    confined = await start(SANDBOX, argv_of(probe), confinement=confined_to(outside), env=env)
    assert ESCAPED not in confined.output
    if probe.root and not AS_ROOT:
        return  # Without the sandbox, too, it would take root.
    assert ESCAPED in await control(outside, probe)


async def control(outside: Outside, probe: Probe) -> bytes:
    env = {**outside.env, "TOOLS": str(outside.tools), "PATH": PATH}
    if probe.control == "namespace":
        done = await start(SANDBOX, argv_of(probe), confinement=None, cwd=outside.folder, env=env)
        return done.output
    return await asyncio.to_thread(bare, outside, probe, env)


def bare(outside: Outside, probe: Probe, env: dict[str, str]) -> bytes:
    prefix = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--")
    argv = (*(prefix if probe.control == "nobody" else ()), *argv_of(probe))
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(argv, cwd=outside.folder, env=env, check=False, **streams).stdout
