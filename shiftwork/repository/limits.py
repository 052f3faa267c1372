"""What one snapshot may hold."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SnapshotLimits:
    """What one snapshot may hold.

    Attributes:
        file_bytes: size of one new or changed file, holes included.
        total_bytes: size of all new and changed files together.
        files: number of new and changed files.
        visited: files and folders looked at, ignored folders not counted.
        path_bytes: length of the paths of all of those together: memory is needed for each.
        seconds: how long it may take to walk through it and to make a tree of what was found.
    """

    file_bytes: int = 100 * 1024 * 1024
    total_bytes: int = 1024 * 1024 * 1024
    files: int = 50_000
    visited: int = 1_000_000
    path_bytes: int = 32 * 1024 * 1024
    seconds: float = 300.0
