"""The memory that is told of programs, whoever started them."""

import os
import resource
import sys

import pytest

from shiftwork.runner.spec import ProcessSpec
from shiftwork.runner.supervisor import run
from shiftwork.sandbox.choose import candidates, works
from shiftwork.sandbox.memory import own_peak, peak_beyond

HUNGRY = "x = bytearray({0})\nx[::4096] = b'x' * len(x[::4096])\n"
"""A program that really has so many bytes."""


@pytest.fixture(params=candidates(), ids=lambda sandbox: sandbox.level)
def sandbox(request):
    if not works(request.param):
        pytest.skip(f"{request.param.level} does not work on this machine")
    return request.param


def python(code, cwd):
    return ProcessSpec((sys.executable, "-S", "-c", code), cwd, dict(os.environ), grace=0.2, timeout=100)


async def test_a_program_has_not_the_memory_of_who_started_it(sandbox, tmp_path):
    """Otherwise each program would be told to need what its worker needs."""
    ours = bytearray(300_000_000)
    ours[::4096] = b"x" * len(ours[::4096])
    result = await run(python("pass", tmp_path), sandbox=sandbox)
    assert (result.exit_status, result.peak_memory_bytes < 100_000_000) == (0, True)
    del ours


async def test_a_program_that_had_more_than_who_started_it_is_told(sandbox, tmp_path):
    """Otherwise a short program that fills the machine's memory would seem to have needed none."""
    size = own_peak() + 50_000_000
    result = await run(python(HUNGRY.format(size), tmp_path), sandbox=sandbox)
    assert result.exit_status == 0
    assert size < result.peak_memory_bytes < size + 100_000_000


def test_what_was_taken_over_is_not_counted():
    """Otherwise a figure that the system hands on from parent to child would be taken for the child's."""
    before = os.fork()
    if before == 0:
        os.execv(sys.executable, [sys.executable, "-S", "-c", "pass"])
    inherited = own_peak()
    _, _, used = os.wait4(before, 0)
    assert peak_beyond(used, inherited) == 0
    assert peak_beyond(resource.getrusage(resource.RUSAGE_SELF), 0) == own_peak()
