"""What came of a run of a `python` agent: judged by what we saw ourselves, and what it left by its rules."""

import contextlib
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from shiftwork.agents.outbox import PROGRESS, read_outbox
from shiftwork.agents.python.program import PEAK
from shiftwork.contracts.outbox import Handoff, Outbox
from shiftwork.contracts.task import TaskErrorKind, TaskStatus
from shiftwork.errors import InvalidInput
from shiftwork.handoffs.context import HandoffContext
from shiftwork.runner.config import ExitStatus
from shiftwork.runner.process import Usage
from shiftwork.text import one_line, printable, truncate

_ERROR_CHARACTERS: Final = 2_000
_PEAK_DIGITS: Final = 15
_LITTLE: Final = 4_096
"""Bytes of output out of which secrets are taken in less than half a millisecond."""


@dataclass(frozen=True, slots=True)
class PythonOutcome:
    """How one run ended.

    Attributes:
        status: `COMPLETED` if and only if its process ended by itself, with exit status 0.
        result: what it printed; of more than may be kept, the beginning, with a note.
        error: one sentence on why it failed; '' if it did not.
        error_kind: None if it did not fail; else its own failure, a timeout, a limit, or a cancellation.
        duration: seconds from the moment it got its job.
        exit: of its process.
        handoff: what it left for its next run, or None.
        summary: of that, for people.
        stderr: the end of its standard error, where the traceback of an exception is.
        progress: what it told of its progress last; None: nothing.
        problems: one sentence for each file that it left and that can't be used.
        usage: CPU time and memory of all its processes; its peak as far as it was seen, or as its own process
            tells of itself, which is all that there is of one that ended at once.
        pre_started: its interpreter waited for it.
    """

    status: TaskStatus
    result: str
    error: str
    error_kind: TaskErrorKind | None
    duration: float
    exit: ExitStatus
    handoff: HandoffContext | None
    summary: str
    stderr: str
    progress: JsonValue
    problems: tuple[str, ...]
    usage: Usage
    pre_started: bool


@dataclass(frozen=True, slots=True)
class Ending:
    """What was seen of the end of a process.

    Attributes:
        kind: why it was ended; None: it ended by itself.
        sentence: on that, for people.
    """

    exit: ExitStatus
    duration: float
    usage: Usage
    kind: TaskErrorKind | None = None
    sentence: str = ""


class Beginning:
    """Keeps the beginning of a stream, and counts the rest.

    Args:
        keep: how many bytes.
    """

    def __init__(self, keep: int) -> None:
        self.data = bytearray()
        self.total = 0
        self._keep = keep

    def add(self, chunk: bytes) -> None:
        """Take in what came."""
        self.total += len(chunk)
        if (room := self._keep - len(self.data)) > 0:
            self.data += chunk[:room]


class End:
    """Keeps the end of a stream, and counts the rest.

    Args:
        keep: how many bytes.
    """

    def __init__(self, keep: int) -> None:
        self.data = bytearray()
        self.total = 0
        self._keep = keep

    def add(self, chunk: bytes) -> None:
        """Take in what came."""
        self.total += len(chunk)
        self.data += chunk[-self._keep :]
        if len(self.data) > 2 * self._keep:
            del self.data[: -self._keep]


def is_little(stdout: Beginning, stderr: End, outbox: Path) -> bool:
    """Whether to judge this takes no longer than to hand it to a thread."""
    if len(stdout.data) + len(stderr.data) > _LITTLE:
        return False
    try:
        with os.scandir(outbox) as entries:  # of however many there are
            return all(entry.name in (PEAK, PROGRESS) for entry in islice(entries, 3))
    except OSError:
        return False


def judge(
    ending: Ending,
    stdout: Beginning,
    stderr: End,
    outbox: Path,
    *,
    most: int,
    pre_started: bool,
    redact: Callable[[bytes], bytes],
) -> PythonOutcome:
    """What an end means; blocks. What is kept of its output is redacted before it is cut to `most` bytes."""
    errors = cut_front(redact(bytes(stderr.data)), most, stderr.total)
    kind, error = ending.kind, ending.sentence
    if kind is None and not ending.exit.success:
        kind, error = TaskErrorKind.FAILED, _own_failure(ending.exit, errors)
    left = read_outbox(outbox)
    handoff, problems = _handed_over(left)
    return PythonOutcome(
        status=TaskStatus.COMPLETED if kind is None else TaskStatus.FAILED,
        result=cut_back(redact(bytes(stdout.data)), most, stdout.total),
        error=truncate(error, _ERROR_CHARACTERS),
        error_kind=kind,
        duration=ending.duration,
        exit=ending.exit,
        handoff=handoff,
        summary=left.handoff.summary if left.handoff and handoff else "",
        stderr=errors,
        progress=left.how_far,
        problems=problems,
        usage=replace(ending.usage, peak_memory=max(ending.usage.peak_memory, _told_peak(outbox))),
        pre_started=pre_started,
    )


def cut_back(data: bytes, most: int, total: int) -> str:
    """The beginning as text of at most `most` bytes; says at its end how much is missing of `total`."""
    if total <= most and len(data) <= most:
        return _fitting(data, most)
    note = f"\n… (of {total:,} bytes, the first are kept)\n"
    room = max(0, most - len(note.encode()))
    return (_fitting(data[:room], room) + note) if room else _fitting(data, most)


def cut_front(data: bytes, most: int, total: int) -> str:
    """The end as text of at most `most` bytes; says at its beginning how much is missing of `total`."""
    if total <= most and len(data) <= most:
        return _fitting(data, most)
    note = f"… (of {total:,} bytes, the last are kept)\n"
    room = max(0, most - len(note.encode()))
    if not room:
        return _fitting(data[-most:], most)
    text = printable(data[-room:].decode("utf-8", "replace")).encode()
    return note + text[-room:].decode("utf-8", "ignore")


def _fitting(data: bytes, most: int) -> str:
    """As text, which may take more bytes than the data if these are none."""
    text = printable(data.decode("utf-8", "replace"))
    return text.encode()[:most].decode("utf-8", "ignore")


def _own_failure(exit_status: ExitStatus, stderr: str) -> str:
    last = one_line(next((line for line in reversed(stderr.splitlines()) if line.strip()), ""))
    if exit_status.signal is not None:
        name = signal.Signals(exit_status.signal).name
        return f"The agent's code was ended by the signal {name}."
    if exit_status.code == 1 and last:
        return last
    sentence = f"The agent's code ended with exit status {exit_status.code}"
    return f"{sentence}: {last}" if last else f"{sentence}."


def _told_peak(outbox: Path) -> int:
    """Bytes of memory that its process says it had at the most; 0 if it says nothing that could be."""
    with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
        folder = os.open(outbox, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        stack.callback(os.close, folder)
        file = os.open(PEAK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        stack.callback(os.close, file)
        told = os.read(file, 20)
        return int(told) if told.isdigit() and len(told) <= _PEAK_DIGITS else 0
    return 0


def _handed_over(outbox: Outbox) -> tuple[HandoffContext | None, tuple[str, ...]]:
    if outbox.handoff is None:
        return None, outbox.problems
    try:
        return _context(outbox.handoff), outbox.problems
    except InvalidInput as error:
        return None, (*outbox.problems, f"handoff.json: {error}")


def _context(left: Handoff) -> HandoffContext:
    """Raises `InvalidInput` for what no later run could load."""
    parts = {name: getattr(left, name) for name in ("observations", "actions", "state", "metadata")}
    given = {name: part for name, part in parts.items() if part is not None}
    context = HandoffContext.from_json(json.dumps(given))
    context.to_json()
    return context
