"""Standard output that nobody but the program, and who inherits it, can write to."""

import hashlib
import os
import sys
from pathlib import Path

import pytest

from shiftwork.runner.spec import ProcessResult, ProcessSpec
from shiftwork.runner.supervisor import run
from shiftwork.sandbox.choose import choose_sandbox

REOPEN = """
import os, sys
try:
    os.write(os.open(f"/proc/{os.getpid()}/fd/1", os.O_WRONLY), b"forged")
except OSError as error:
    print(error.strerror)
"""


async def printed(folder: Path, code: str, *, sealed: bool, **spec) -> ProcessResult:
    argv = (sys.executable, "-c", code)
    given = ProcessSpec(argv, folder, env=dict(os.environ), timeout=250, sealed_output=sealed, **spec)
    return await run(given, sandbox=choose_sandbox())


@pytest.mark.parametrize("sealed", [True, False], ids=["socket", "pipe"])
async def test_much_is_read_to_its_end(tmp_path: Path, *, sealed: bool) -> None:
    """A verifier whose last words are lost, or that hangs, because it prints much."""
    lines: list[bytes] = []
    given = ProcessSpec(
        (sys.executable, "-c", "print('x' * 99_999 + '\\n', end='');" * 50 + "print('over', end='')"),
        tmp_path,
        env=dict(os.environ),
        timeout=100,
        sealed_output=sealed,
    )
    result = await run(given, sandbox=choose_sandbox(), on_line=lambda _, line: lines.append(line))
    whole = (b"x" * 99_999 + b"\n") * 50 + b"over"
    assert (result.exit_status, result.stdout.length) == (0, len(whole))
    assert result.stdout.digest == hashlib.sha256(whole).hexdigest()
    assert (len(lines), lines[-1]) == (51, b"over")


async def test_what_a_child_left_open_ends_with_the_program(tmp_path: Path) -> None:
    """A verifier that is never done because something that it started holds its output."""
    code = "import subprocess; subprocess.Popen(['sleep', '250']); print('over')"
    result = await printed(tmp_path, code, sealed=True)
    assert (result.exit_status, result.stdout_tail) == (0, b"over\n")
    assert result.duration < 150


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc elsewhere")
async def test_it_can_t_be_opened_anew(tmp_path: Path) -> None:
    """Code that a verifier runs could speak in its name."""
    assert (await printed(tmp_path, REOPEN, sealed=False)).stdout_tail == b"forged"
    assert (await printed(tmp_path, REOPEN, sealed=True)).stdout_tail == b"No such device or address\n"
