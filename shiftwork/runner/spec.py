"""What to run, and what came of it."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

from shiftwork.runner.limits import Limits
from shiftwork.sandbox.base import LEASE
from shiftwork.sandbox.confinement import Confinement

StreamName = Literal["stdout", "stderr"]

OnLine = Callable[[StreamName, bytes], Awaitable[None] | None]
"""Is given each line without its newline, in order per stream; while it is busy, the process waits."""


class StopSignal(Protocol):
    """What tells a run to end: an `asyncio.Event`, or anything like it."""

    def is_set(self) -> bool: ...

    async def wait(self) -> object: ...


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One program to run.

    Attributes:
        argv: the program and its arguments; a name without a slash is looked up on `env["PATH"]`.
        env: the whole environment (see `shiftwork.runner.environment`).
        stdin: what it reads on standard input, which is then closed.
        timeout: seconds it may run, or None.
        grace: seconds from asking it to end (TERM) to killing it; half a second at most after a breach.
        lock_file: a file kept locked while any process of it lives.
        keep_bytes: how much of the end of each output stream is kept.
        line_bytes: where longer lines are cut before `on_line` sees them.
        look_for: what is looked for in all of each stream, also in what is not kept.
        limits: what it may use; a breach ends it.
        stall_timeout: seconds without output and CPU time after which it is ended, or None.
        sealed_output: its standard output is a socket: unlike a pipe, nobody can open it anew by `/proc`,
            only inherit it. The program itself can't open `/dev/stdout` then either.
        confinement: what it may touch; `cwd` is then a path as the program sees it. None: whatever we may.
        door: see `Launch.door`; it stays the caller's.
        lease: see `Launch.lease`.
    """

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes = b""
    timeout: float | None = None
    grace: float = 5.0
    lock_file: Path | None = None
    keep_bytes: int = 1_000_000
    line_bytes: int = 1_000_000
    look_for: bytes = b""
    limits: Limits = field(default_factory=Limits)
    stall_timeout: float | None = None
    sealed_output: bool = False
    confinement: Confinement | None = None
    door: int | None = None
    lease: float = LEASE


@dataclass(frozen=True, slots=True)
class StreamResult:
    """One output stream: its end, SHA-256 (hex) and length, and whether it held what was looked for."""

    tail: bytes
    digest: str
    length: int
    found: bool = True


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """How a program ended.

    Attributes:
        exit_status: in the shell's convention: 128 + n after signal n (a program that exits with such a
            status by itself looks the same).
        signal: that n, or None.
        timed_out: it was ended because its time was over.
        stopped: it was ended because the caller wanted so.
        duration: seconds from its start to the end of its last process.
        breach: a sentence on the limit that it breached, with the limit's name and value, or on its stall.
        stalled: it was ended because it did nothing any more.
        lapsed: it was killed because its lease lapsed: this process, or its event loop, did not run for so
            long. That says nothing of the program; it can be run again.
        cpu_seconds: CPU time of its processes.
        peak_memory_bytes: the most that was seen of all its processes together while limits were watched,
            and those of its largest process, if that had more than the process that started it; 0: unknown.
    """

    exit_status: int
    signal: int | None
    timed_out: bool
    stopped: bool
    duration: float
    stdout: StreamResult
    stderr: StreamResult
    breach: str | None = None
    stalled: bool = False
    lapsed: bool = False
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0

    @property
    def stdout_tail(self) -> bytes:
        """The last bytes of standard output."""
        return self.stdout.tail

    @property
    def stderr_tail(self) -> bytes:
        """The last bytes of standard error."""
        return self.stderr.tail

    @property
    def output_bytes(self) -> int:
        """Bytes of both streams together."""
        return self.stdout.length + self.stderr.length

    @property
    def output_digest(self) -> str:
        """SHA-256 (hex) over the hex digests of both streams, so that it does not depend on timing."""
        return hashlib.sha256(f"{self.stdout.digest}{self.stderr.digest}".encode()).hexdigest()

    @property
    def truncated(self) -> bool:
        """Whether more was printed than the tails hold."""
        return self.output_bytes > len(self.stdout.tail) + len(self.stderr.tail)


def without_secrets(result: ProcessResult, redact: Callable[[bytes], bytes]) -> ProcessResult:
    """The result with what is kept of its output redacted; to be done before anybody cuts that."""
    return replace(
        result,
        stdout=replace(result.stdout, tail=redact(result.stdout_tail)),
        stderr=replace(result.stderr, tail=redact(result.stderr_tail)),
    )
