"""What an agent may use, and the sentences that say which limit it breached."""

import errno
import math
import os
import resource
import signal
import sys
from dataclasses import dataclass, fields

from shiftwork.errors import InvalidInput
from shiftwork.sandbox.user import can_change_user

_MB = 1_000_000
_FEWEST_FILES = 16
"""Descriptors that any program needs, the shells of a sandbox included."""

_MOST = 1_000_000_000
"""Of any limit: what is more, the kernel's own arithmetic may not hold."""

AFTER_BREACH = 0.5
"""Seconds of grace, at most, for what used too much, and would go on using more."""

LAST_WORDS = 4096
"""Bytes of the end of standard error in which a breach is looked for."""

_TOO_LARGE = tuple(
    text.encode() for text in (os.strerror(errno.EFBIG), signal.strsignal(signal.SIGXFSZ)) if text
)
"""What is said of a file that would be: by whoever tries to write it, and by a shell whose child did."""

_AFTER_LOOKS = 2
"""Seconds of CPU time that a process gets beyond the limit on its tree, before the kernel ends it."""

BLOCK = 512
"""Bytes in which a POSIX shell counts the size of files."""

_WHOLE = frozenset({"processes", "open_files"})


@dataclass(frozen=True, slots=True)
class Limits:
    """What an agent may use; None means no limit. Its wall time is `ProcessSpec.timeout`.

    The limits on the tree are looked at every tenth of a second or so: a short excess may pass.

    Attributes:
        cpu_seconds: CPU time of the whole tree.
        memory_mb: resident memory of the whole tree, in millions of bytes.
        processes: living processes of the whole tree.
        file_size_mb: the largest file that any of its processes may write, in millions of bytes.
        open_files: descriptors that any of its processes may have open, at least 16.
        disk_mb: by how much the folders that a confined program may write to may grow, in millions of bytes;
            looked at every few seconds.

    Raises:
        InvalidInput: a limit makes no sense.
    """

    cpu_seconds: float | None = None
    memory_mb: float | None = None
    processes: int | None = None
    file_size_mb: float | None = None
    open_files: int | None = None
    disk_mb: float | None = None

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if value is None:
                continue
            if not isinstance(value, int if one.name in _WHOLE else (int, float)):
                kind = "a whole number" if one.name in _WHOLE else "a number"
                raise InvalidInput(f"The limit {one.name} is {value!r}; it must be {kind}.")
            if not value > 0:
                raise InvalidInput(f"The limit {one.name} is {value!r}; it must be more than 0.")
            if value > _MOST:
                raise InvalidInput(f"The limit {one.name} is {value!r}; it must be at most {_MOST:,}.")
        if self.open_files is not None and self.open_files < _FEWEST_FILES:
            raise InvalidInput(f"The limit open_files is {self.open_files}; no program runs below 16.")

    @property
    def on_tree(self) -> bool:
        """Whether somebody has to look at the tree."""
        return any(value is not None for value in (self.cpu_seconds, self.memory_mb, self.processes))

    def rlimits(self) -> dict[int, tuple[int, int]]:
        """Soft and hard limits of each process, by their numbers in `resource`; core dumps never.

        What is our own user may open half of what we may: see `shiftwork.sandbox.descriptors`.
        """
        found = {resource.RLIMIT_CORE: (0, 0)}
        if self.cpu_seconds is not None:
            # For when nobody looks at the tree in time, which is ended as a whole: the kernel would end one
            # process and leave its parent. SIGXCPU at the soft limit says why; SIGKILL at the hard one not.
            seconds = math.ceil(self.cpu_seconds) + _AFTER_LOOKS
            found[resource.RLIMIT_CPU] = (seconds, seconds + 1)
        if self.file_size_mb is not None:
            size = math.ceil(self.file_size_mb * _MB)
            found[resource.RLIMIT_FSIZE] = (size, size)
        ours = _files_of_our_user()
        if self.open_files is not None:
            files = self.open_files if ours is None else min(self.open_files, ours[1])
            found[resource.RLIMIT_NOFILE] = (files, files)
        elif ours is not None:
            found[resource.RLIMIT_NOFILE] = ours
        return found

    def files_after_sending(self) -> tuple[int, int] | None:
        """What whoever sends a descriptor before it becomes the program sets after that: soft and hard limit.

        None: it gets its limit with all the others, because nobody's descriptors under way hinder it.
        """
        return None if _files_of_our_user() is None else self.rlimits()[resource.RLIMIT_NOFILE]

    def rlimits_before_sending(self, *, sends: bool) -> dict[int, tuple[int, int]]:
        """As `rlimits`, for what comes before a program; `sends`: without `files_after_sending`."""
        found = self.rlimits()
        if sends and self.files_after_sending() is not None:
            del found[resource.RLIMIT_NOFILE]
        return found

    def ulimits(self, *, sends: bool = False) -> str:
        """The same for a POSIX shell, whose unit for files is a block; a lower limit there stays.

        Args:
            sends: leave `files_after_sending` to what the shell starts.
        """
        letters = {resource.RLIMIT_CPU: "t", resource.RLIMIT_FSIZE: "f", resource.RLIMIT_NOFILE: "n"}
        commands = ["ulimit -c 0"]
        for number, (soft, hard) in self.rlimits_before_sending(sends=sends).items():
            if number in letters:
                unit = BLOCK if number == resource.RLIMIT_FSIZE else 1
                commands.append(f"ulimit -S -{letters[number]} {math.ceil(soft / unit)}")
                commands.append(f"ulimit -H -{letters[number]} {math.ceil(hard / unit)}")
        return "; ".join(commands)

    def breach_of_tree(self, *, cpu_seconds: float, memory: int, processes: int) -> str | None:
        """The sentence on what the tree uses too much of, if anything; `memory` in bytes."""
        if self.cpu_seconds is not None and cpu_seconds > self.cpu_seconds:
            return self._cpu()
        if self.memory_mb is not None and memory > self.memory_mb * _MB:
            used = f"its processes together had {memory / _MB:.0f} MB"
            return f"The limit memory_mb of {self.memory_mb:g} was breached: {used}."
        if self.processes is not None and processes > self.processes:
            return f"The limit processes of {self.processes} was breached: {processes} were alive."
        return None

    def breach_by_end(self, exit_status: int, last_words: bytes, cpu_seconds: float = 0.0) -> str | None:
        """The sentence on the limit that this end tells of, if any.

        A program that got over a file that was too large, or one too many, has not breached anything.

        Args:
            exit_status: in the shell's convention.
            last_words: the last `LAST_WORDS` of its standard error.
            cpu_seconds: of the whole tree.
        """
        if self.cpu_seconds is not None and (
            exit_status == 128 + signal.SIGXCPU or cpu_seconds >= self.cpu_seconds
        ):
            return self._cpu()
        if exit_status == 0:
            return None
        if self.file_size_mb is not None and (
            exit_status == 128 + signal.SIGXFSZ or any(words in last_words for words in _TOO_LARGE)
        ):
            return f"The limit file_size_mb of {self.file_size_mb:g} was breached: a file would be larger."
        if self.processes is not None and _could_not_fork(last_words.lower()):
            return f"The limit processes of {self.processes} was breached: no more could be started."
        if self.open_files is not None and os.strerror(errno.EMFILE).encode() in last_words:
            return f"The limit open_files of {self.open_files} was breached: a process tried to open more."
        return None

    def _cpu(self) -> str:
        return f"The limit cpu_seconds of {self.cpu_seconds:g} was breached: it used more CPU time."


def _could_not_fork(words: bytes) -> bool:
    """Whether these, in lower case, tell of a process that the kernel refused: a shell's, or an error's."""
    refused = os.strerror(errno.EAGAIN).lower().encode()
    return b"fork" in words and (refused in words or b"cannot fork" in words)


def _files_of_our_user() -> tuple[int, int] | None:
    """How many files programs that are our own user may have open: soft and hard; None: as many as we.

    A half, because many threads that send at once can get beyond their limit by what each sends.
    """
    if sys.platform != "linux" or can_change_user():
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(hard // 2, _FEWEST_FILES)
    return min(soft, most), most
