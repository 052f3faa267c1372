"""Keeping secrets out of what a snapshot adds, before any of it is stored."""

import tempfile
from collections.abc import Mapping
from typing import Protocol

from shiftwork.repository.git import Git
from shiftwork.repository.objects import TreeEntry, fetch_blobs


class Guard(Protocol):
    """Looks at what a snapshot would add; `shiftwork.secrets.AddedSecrets` is one. For one snapshot each."""

    def look(self, path: str, data: bytes) -> None:
        """Take a new or changed file; called in a thread."""

    @property
    def suspects(self) -> tuple[str, ...]:
        """The paths that hold what should not be added."""

    def excuse(self, path: str, before: bytes) -> None:
        """Forgive what the base has at a suspect's path already."""

    def refuse(self) -> None:
        """Raise a `SnapshotRefused` if anything is left."""


async def refuse_added(git: Git, base: Mapping[str, TreeEntry], guard: Guard) -> None:
    """Raise the guard's `SnapshotRefused` unless the base had all that it found."""
    old = {path: base[path].oid for path in guard.suspects if path in base and base[path].kind == "blob"}
    if old:
        with tempfile.TemporaryFile(dir=git.where) as stream:
            blobs = dict(await fetch_blobs(git, sorted(set(old.values())), stream))
        for path, oid in old.items():
            guard.excuse(path, blobs[oid])
    guard.refuse()
