"""Finding files and folders by a pattern."""

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from deepagents.backends.protocol import FileInfo, GlobResult, GlobTruncationReason
from deepagents.backends.utils import compile_grep_include_glob

_LONGEST = 5.0
"""Seconds of one search; deepagents' tool gives up on it, with nothing found, after ten."""


def find(pattern: str, root: Path) -> GlobResult:
    """Files and folders below the root that match, by their paths from there; a folder's ends in `/`.

    Patterns are deepagents': one without `/` is of names at any depth. Raises `ValueError` for one that it
    refuses. Links are not followed to more; what can't be read is left out, and the result says so.
    """
    matches = compile_grep_include_glob(pattern)
    deadline = time.monotonic() + _LONGEST
    unreadable: list[OSError] = []
    found: list[FileInfo] = []
    reason: GlobTruncationReason | None = None
    for path in _below(root, unreadable):
        if time.monotonic() > deadline:
            reason = "budget"
            break
        if matches(path) and (entry := _entry(root, path)):
            found.append(entry)
    if unreadable and reason is None:
        reason = "unreadable"
    found.sort(key=lambda entry: entry["path"])
    return GlobResult(matches=found, truncated=reason is not None, truncation_reason=reason)


def _below(root: Path, unreadable: list[OSError]) -> Iterator[str]:
    for folder, folders, files in os.walk(root, onerror=unreadable.append):
        place = os.path.relpath(folder, root)
        for name in (*folders, *files):
            yield name if place == "." else f"{place}/{name}"


def _entry(root: Path, path: str) -> FileInfo | None:
    """None for what is neither file nor folder, as a socket, or a link that leads nowhere."""
    try:
        status = (root / path).stat()
    except OSError:
        return None
    if stat.S_ISDIR(status.st_mode):
        return {"path": f"{path}/", "is_dir": True}
    if stat.S_ISREG(status.st_mode):
        return {"path": path, "is_dir": False, "size": status.st_size}
    return None
