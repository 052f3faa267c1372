"""What a confined program writes in all its folders together is bounded."""

import os

from shiftwork.runner.disk import size_of
from shiftwork.runner.limits import Limits
from shiftwork.sandbox.choose import choose_sandbox
from shiftwork.verification.shell import Shell

FILL = "for n in 1 2 3 4; do head -c 3000000 /dev/zero > $n; done; sleep 60"


async def test_folders_that_grow_too_much_end_the_program(tmp_path):
    """Otherwise an agent could fill the disk with files that are each small enough."""
    folders = {"cwd": tmp_path / "work", "scratch": tmp_path / "run" / "scratch"}
    folders["cwd"].mkdir()
    (folders["cwd"] / "before").write_bytes(os.urandom(9_000_000))  # was there, so it does not count
    shell = Shell(choose_sandbox(), limits=Limits(disk_mb=10))
    result = await shell.run(FILL, timeout=30, **folders)
    assert "disk_mb of 10 " in (result.breach or ""), result
    assert result.duration < 20
    shell = Shell(choose_sandbox(), limits=Limits(disk_mb=20))
    result = await shell.run(FILL.removesuffix("sleep 60"), timeout=30, **folders)
    assert (result.exit_status, result.breach) == (0, None)


def test_a_size_counts_names_and_follows_no_link(tmp_path):
    """Otherwise millions of empty files would be free, and a link to / would be measured for ever."""
    (tmp_path / "up").symlink_to("/")
    for number in range(50):
        (tmp_path / str(number)).touch()
    assert 50 * 1024 <= size_of([tmp_path, tmp_path / "none"]) < 1_000_000
