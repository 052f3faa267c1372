"""What is known of the files of a workspace, so that an untouched file is never read again.

Kept beside the workspace, out of the agent's reach. A file counts as untouched when its inode, size, mode
and both of its times are those of the record. Times have a granularity: a file changed just before the
record was saved could be changed again without its times moving (git calls this racy), so such a file is
not taken for untouched. Saving and changing are compared on the file system's own clock. Records that are
saved when nothing can change any more wait for its next tick, and know all of their files.
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shiftwork.repository.threads import in_pieces

WINDOW_NS = 50_000_000
"""Longer than a tick of any kernel's coarse clock."""
COARSE_WINDOW_NS = 2_000_000_000
"""For file systems that keep whole seconds."""

_TICK_MOST = 0.05
"""Seconds that a tick is waited for; a file system that keeps whole seconds has to do without."""

RECORDS = 1_000
"""Records that are read and written in one call, during which nothing else runs."""

Known = tuple[int, int, int, int, int, str]
"""Inode, size, mode, mtime and ctime in nanoseconds, and the id of the content."""


@dataclass(slots=True)
class StatCache:
    """Records of files by path, and when they were saved."""

    saved_ns: int = 0
    known: dict[str, Known] = field(default_factory=dict)
    settled: bool = False
    """Whether `save` was to wait for the next tick."""

    @classmethod
    def load(cls, path: Path, *, settled: bool = False) -> "StatCache":
        """The saved records; none if there are none or they can't be read."""
        try:
            with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
                saved = os.fstat(file.fileno()).st_mtime_ns
                known: dict[str, Known] = {}
                for line in file:
                    known.update((path, tuple(record)) for path, record in json.loads(line).items())
            return cls(saved, known, settled)
        except (OSError, ValueError, AttributeError, TypeError):
            # A cache that can't be read costs time and nothing else.
            return cls()

    def untouched(self, path: str, found: os.stat_result) -> str | None:
        """The id of the file's content if it surely did not change since it was recorded."""
        record = self.known.get(path)
        if record is None or record[:5] != _identity(found):
            return None
        newest = max(found.st_ctime_ns, found.st_mtime_ns)
        if self.settled:
            return record[5] if newest < self.saved_ns else None
        whole_seconds = found.st_mtime_ns % 1_000_000_000 == 0 and found.st_ctime_ns % 1_000_000_000 == 0
        window = COARSE_WINDOW_NS if whole_seconds else WINDOW_NS
        return record[5] if newest + window < self.saved_ns else None


def record(found: os.stat_result, oid: str) -> Known:
    """What to remember of a file with this content."""
    return (*_identity(found), oid)


def save(path: Path, known: Mapping[str, Known], *, settle: bool = False) -> None:
    """Replace the saved records as a whole: many objects of JSON, one a line, of some records each.

    Args:
        settle: nothing changes these files any more until this returns: whoever does later is seen.
    """
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        for some in in_pieces(known.items(), RECORDS):
            # Not escaped: names that are no UTF-8 would take six times their room.
            file.write(json.dumps(dict(some), separators=(",", ":"), ensure_ascii=False) + "\n")
        file.flush()
        if settle:
            _await_tick(file.fileno(), max((max(record[3:5]) for record in known.values()), default=0))
    draft.replace(path)


def _await_tick(descriptor: int, newest: int) -> None:
    """Wait until what is changed now looks newer than this, and have the file look so."""
    deadline = time.monotonic() + _TICK_MOST
    while os.fstat(descriptor).st_mtime_ns <= newest and time.monotonic() < deadline:
        time.sleep(0.001)
        os.utime(descriptor)


def _identity(found: os.stat_result) -> tuple[int, int, int, int, int]:
    return (found.st_ino, found.st_size, found.st_mode, found.st_mtime_ns, found.st_ctime_ns)
