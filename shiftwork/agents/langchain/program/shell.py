"""Running shell commands: bounded in time and output, and ended with all their processes."""

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from shiftwork.shells import shell_argv, unsteered

_PIECE = 65_536
_TIMED_OUT = 124
_AFTER_END = 0.3
"""Seconds that output is still waited for when the shell has ended: what it left behind may hold the pipe."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a command; `left_out`: bytes of its output that are not in `output`."""

    status: int
    output: str
    left_out: int = 0


class Shell:
    """Runs commands in a folder; `end_all` ends those that run, from any thread."""

    def __init__(self, folder: Path, environment: Mapping[str, str], output_bytes: int) -> None:
        self._folder = folder
        self._environment = unsteered(environment)
        self._half = output_bytes // 2
        self._running: set[int] = set()
        self._lock = threading.Lock()

    def run(self, command: str, timeout: float) -> Ran:
        """Run it by bash, or sh where there is none; status 124 if it took too long."""
        with self._begun(command) as process:
            try:
                assert process.stdout is not None
                kept = _Kept(self._half)
                in_time = _listen(process, process.stdout, kept, time.monotonic() + timeout)
            finally:
                _end_group(process.pid)
                with self._lock:
                    self._running.discard(process.pid)
            status = process.wait()
        if not in_time:
            kept.add(f"\nThe command took longer than {timeout:g} seconds and was ended.".encode())
            status = _TIMED_OUT
        return Ran(status if status >= 0 else 128 - status, kept.text(), kept.left_out)

    def _begun(self, command: str) -> "subprocess.Popen[bytes]":
        with self._lock:  # so that `end_all` finds whatever runs
            process = subprocess.Popen(
                shell_argv(command),
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._running.add(process.pid)
        return process

    def end_all(self) -> None:
        """End every command that runs, with its whole process group."""
        with self._lock:
            running = list(self._running)
        for group in running:
            _end_group(group)


class _Kept:
    """The beginning and the end of an output."""

    def __init__(self, half: int) -> None:
        self._half = half
        self._head = bytearray()
        self._tail = bytearray()
        self.left_out = 0

    def add(self, data: bytes) -> None:
        room = self._half - len(self._head)
        self._head += data[:room]
        self._tail += data[room:] if room < len(data) else b""
        if len(self._tail) > 2 * self._half:
            self._cut()

    def text(self) -> str:
        self._cut()
        gap = f"\n… {self.left_out} bytes left out …\n".encode() if self.left_out else b""
        return (bytes(self._head) + gap + bytes(self._tail)).decode("utf-8", "replace")

    def _cut(self) -> None:
        surplus = len(self._tail) - self._half
        if surplus > 0:
            del self._tail[:surplus]
            self.left_out += surplus


def _listen(process: subprocess.Popen[bytes], output: IO[bytes], kept: _Kept, deadline: float) -> bool:
    """Take in output until its end, or until the shell has ended; False if the time was over first."""
    os.set_blocking(output.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        ended: float | None = None
        while True:
            now = time.monotonic()
            if now >= deadline:
                return False
            if ended is None and process.poll() is not None:
                ended = now
            if ended is not None and now >= ended + _AFTER_END:
                return True
            if selector.select(min(0.05, deadline - now)):
                data = os.read(output.fileno(), _PIECE)
                if not data:
                    break
                kept.add(data)
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


def _end_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # All of it has ended; macOS says the latter of a group that is only waited for.
