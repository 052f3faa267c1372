"""The paths that a project lists: how many, and of which kind."""

import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from shiftwork.contracts.sandbox import SandboxOptions
from shiftwork.errors import InvalidInput
from shiftwork.runner.spec import ProcessSpec
from shiftwork.runner.supervisor import run
from shiftwork.sandbox.cell import make_cell
from shiftwork.sandbox.choose import cheap_sandbox
from shiftwork.sandbox.confinement import Bind, Confinement
from shiftwork.sandbox.namespace import find_bubblewrap


@pytest.mark.parametrize("which", ["readable", "writable"])
@pytest.mark.parametrize(
    ("paths", "problem"),
    [
        (tuple(f"/opt/{number}" for number in range(101)), "101 paths are listed, and 100 may be"),
        (("/dev",), "'/dev' can't be listed: a program has devices of its own"),
        (("/opt", "/dev/sda"), "'/dev/sda' can't be listed"),
    ],
)
def test_what_can_not_be_listed_is_refused_at_once(which, paths, problem):
    """Otherwise a project would be made whose programs never start, as if they failed by themselves."""
    with pytest.raises(ValidationError, match=problem):
        SandboxOptions(**{which: paths})


def test_a_path_that_can_not_be_looked_at_is_refused():
    """Otherwise a run would be tried again for ever, and nobody told which path is wrong."""
    path = f"/{'long' * 100}"
    with pytest.raises(InvalidInput, match=r"does not exist on this worker, or is closed to it; make it"):
        make_cell(cheap_sandbox(), SandboxOptions(readable=(path,)), [])


def test_a_link_to_a_device_is_refused_by_its_name(tmp_path):
    """Otherwise a program would be given a device under another name, or a file that it can't open."""
    link = tmp_path / "link"
    link.symlink_to("/dev/null")
    with pytest.raises(InvalidInput, match=f"{str(link)!r}, which 'sandbox' lists, is a device"):
        make_cell(cheap_sandbox(), SandboxOptions(readable=(str(link),)), [])


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
async def test_more_than_bubblewrap_takes_is_told(tmp_path):
    """Otherwise a step would fail with a sentence on bubblewrap's arguments, as if that were its own."""
    sandboxes = find_bubblewrap()
    if not sandboxes:
        pytest.skip("no bubblewrap here")
    binds = tuple(Bind(Path("/usr"), Path(f"/opt/{number}")) for number in range(3_000))
    spec = ProcessSpec(("/bin/true",), Path("/"), confinement=Confinement(binds))
    with pytest.raises(InvalidInput, match=r"'true' was not started: .* words for bubblewrap.* list fewer"):
        await run(spec, sandbox=sandboxes[0])
