"""Keeping secrets out of what a snapshot adds, before any of it is stored."""

import tempfile
from collections import defaultdict
from collections.abc import Mapping
from typing import Protocol

from shiftwork.repository.deadline import Tick
from shiftwork.repository.git import Git
from shiftwork.repository.objects import BlobReader, TreeEntry, fetch_blobs
from shiftwork.repository.threads import in_thread


class Guard(Protocol):
    """Looks at what a snapshot would add; `shiftwork.secrets.AddedSecrets` is one. For one snapshot each."""

    def look(self, path: str, data: bytes, tick: Tick) -> None:
        """Take a new or changed file; called in a thread, like all of this."""

    @property
    def suspects(self) -> tuple[str, ...]:
        """The paths that hold what should not be added."""

    def excuse(self, path: str, before: bytes, tick: Tick) -> None:
        """Forgive what the base has at a suspect's path already."""

    def refuse(self) -> None:
        """Raise a `SnapshotRefused` if anything is left."""


async def refuse_added(git: Git, base: Mapping[str, TreeEntry], guard: Guard, tick: Tick) -> None:
    """Raise the guard's `SnapshotRefused` unless the base had all that it found."""
    old: dict[str, list[str]] = defaultdict(list)
    for path in guard.suspects:
        if path in base and base[path].kind == "blob":
            old[base[path].oid].append(path)

    def excuse(reader: BlobReader) -> None:
        for oid, data in reader:
            for path in old[oid]:
                guard.excuse(path, data, tick)

    if old:
        with tempfile.TemporaryFile(dir=git.where) as stream:
            reader = await fetch_blobs(git, old, stream)
            await in_thread(lambda: excuse(reader))
    await in_thread(guard.refuse)
