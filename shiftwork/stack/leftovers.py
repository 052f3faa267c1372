"""Ending what a killed predecessor may have left running."""

import json
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from shiftwork.stack.private import write_private

# A process's start is given in seconds since the epoch, computed from the boot time, which a clock
# adjustment shifts a little.
_START_TOLERANCE = 2.0
_POLL_SECONDS = 0.02


def end_postmaster(data: Path) -> None:
    """End a PostgreSQL server that still runs on the data folder, and remove a stale `postmaster.pid`.

    PostgreSQL itself takes any process with that number for its predecessor and would refuse to start.
    """
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        pid_file.unlink(missing_ok=True)
        return
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        process = psutil.Process(pid)
        if process.name().startswith("postgres") and Path(process.cwd()).samefile(data):
            _end(process, (signal.SIGINT, 10), (signal.SIGQUIT, 5), (signal.SIGKILL, 5))
    pid_file.unlink(missing_ok=True)


def record(path: Path, pids: Iterable[int]) -> None:
    """Write down which processes are ours, by number and start, for `end_recorded`."""
    found = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            found.append({"pid": pid, "started": psutil.Process(pid).create_time()})
    write_private(path, json.dumps(found))


def end_recorded(path: Path) -> None:
    """End the processes that a predecessor wrote down, and their children, if they still are the same."""
    try:
        entries = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        entries = []
    for entry in entries:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process = psutil.Process(entry["pid"])
            if abs(process.create_time() - entry["started"]) < _START_TOLERANCE:
                children = process.children(recursive=True)
                _end(process, (signal.SIGINT, 5), (signal.SIGKILL, 5))
                for child in children:
                    with suppress(psutil.NoSuchProcess):
                        child.kill()
    path.unlink(missing_ok=True)


def _end(process: psutil.Process, *steps: tuple[signal.Signals, float]) -> None:
    """Send each signal in turn and wait its seconds, until the process is gone."""
    for sign, seconds in steps:
        process.send_signal(sign)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            # Not psutil's own waiting: it would take the exit status of a child of ours from asyncio.
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return
            time.sleep(_POLL_SECONDS)
