"""How much a program writes into its folders, looked at from outside."""

import asyncio
import os
import time
from collections.abc import Iterable
from pathlib import Path

_PAUSE = 2.0
"""Seconds between two looks, at least."""

_SHARE = 20
"""A look may take one part in so many of the time between two."""

_ENTRY = 1024
"""What a name costs, in bytes: millions of empty files fill a disk too."""


async def watch_disk(folders: Iterable[Path], limit_mb: float, breach: "asyncio.Future[str]") -> None:
    """Settle `breach` once the folders have grown by more than the limit, in millions of bytes."""
    watched = tuple(folders)
    before = await asyncio.to_thread(size_of, watched)
    pause = _PAUSE
    while not breach.done():
        await asyncio.sleep(pause)
        begun = time.monotonic()
        grown = await asyncio.to_thread(size_of, watched) - before
        pause = max(_PAUSE, _SHARE * (time.monotonic() - begun))
        if grown > limit_mb * 1_000_000 and not breach.done():
            breach.set_result(
                f"The limit disk_mb of {limit_mb:g} was breached: its folders grew by {grown / 1e6:.0f} MB."
            )


def size_of(folders: Iterable[Path]) -> int:
    """Bytes on disk below these folders; follows no links, and leaves out what goes meanwhile."""
    total = 0
    waiting = [os.fspath(folder) for folder in folders]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    total += _ENTRY + _blocks(entry)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError:  # Gone, or closed to us: nothing that can be counted.
            continue
    return total


def _blocks(entry: "os.DirEntry[str]") -> int:
    try:
        return entry.stat(follow_symlinks=False).st_blocks * 512
    except OSError:
        return 0
