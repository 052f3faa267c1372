"""Which sandboxes work on this machine, strongest first."""

import os
from pathlib import Path

from shiftwork.runner.spawn import spawn
from shiftwork.sandbox.base import MARKER, Sandbox
from shiftwork.sandbox.namespace import find_bubblewrap, find_unshare
from shiftwork.sandbox.processgroup import ProcessGroup

_EXPECTED = 7
"""An exit status that no failing wrapper would yield by accident."""


def choose_sandbox() -> Sandbox:
    """The strongest sandbox that works here, found by running something in it; ask once, at start."""
    return next(candidate for candidate in candidates() if works(candidate))


def candidates() -> list[Sandbox]:
    """Every sandbox that might work here, strongest first; the last one always does."""
    return [*find_bubblewrap(), *find_unshare(), ProcessGroup()]


def works(sandbox: Sandbox) -> bool:
    """Whether a program can really be run in it."""
    argv = sandbox.wrap(("/bin/sh", "-c", f"exit {_EXPECTED}"), cwd=Path("/"))
    try:
        probe = spawn(argv, {**os.environ, MARKER: "probe"}, reads=False)
    except OSError:
        return False
    try:
        _, status = os.waitpid(probe.pid, 0)
    finally:
        probe.lease.close()
        os.close(probe.stdout)
        os.close(probe.stderr)
    return os.waitstatus_to_exitcode(status) == _EXPECTED
