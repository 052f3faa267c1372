"""`.gitmodules`: what an agent may write in it, so that nobody's git takes a part of it for a command."""

import os
import re
from collections.abc import Mapping
from typing import NoReturn

from shiftwork.errors import SnapshotRefused
from shiftwork.repository.deadline import Tick, untimed
from shiftwork.repository.git import Git
from shiftwork.repository.names import is_gitmodules, shown
from shiftwork.repository.objects import TreeEntry, blob_sizes
from shiftwork.repository.threads import in_thread

MAX_BYTES = 64 * 1024
"""Bytes of one file: some five hundred submodules."""
MAX_FILES = 100
"""Different files of one snapshot: git is asked about each."""
MAX_LISTED = 1024 * 1024
"""Bytes that git may make of one: each setting repeats its section's name."""

_HELPER = re.compile(r"[A-Za-z0-9+.-]+::")
"""An address that names a program of its own to fetch with, such as `ext::`."""


async def refuse_dangerous_modules(
    git: Git, changes: Mapping[str, TreeEntry | None], tick: Tick = untimed
) -> None:
    """Raise `SnapshotRefused` for a changed `.gitmodules` that git refuses too, or that names a program.

    Servers refuse a push that holds such a file, so it would keep main from being delivered. So is one that
    is too large to be looked at.
    """
    changed = await in_thread(lambda: _changed(changes, tick))
    if not changed:
        return
    if len(changed) > MAX_FILES:
        _refuse(next(iter(changed.values())), f"is one of more than {MAX_FILES} different files of this name")
    sizes = await blob_sizes(git, changed)
    for oid, path in changed.items():
        tick()
        if sizes[oid] > MAX_BYTES:
            _refuse(path, f"is {sizes[oid]:,} bytes, more than {MAX_BYTES:,}")
        if problem := await _problem(git, oid):
            _refuse(path, problem)


def _changed(changes: Mapping[str, TreeEntry | None], tick: Tick) -> dict[str, str]:
    """A path for each content that such a file got."""
    found: dict[str, str] = {}
    for path, entry in changes.items():
        tick()
        if entry is not None and entry.kind == "blob" and is_gitmodules(path.rpartition("/")[2]):
            found.setdefault(entry.oid, path)
    return found


async def _problem(git: Git, oid: str) -> str | None:
    options = (f"--blob={oid}", "--no-includes", "--null", "--list")
    listing = await git.call("config", *options, limit=MAX_LISTED)
    if listing.status:
        return "is no configuration that git can read"
    if len(listing.stdout) >= MAX_LISTED:
        return f"says more than {MAX_LISTED:,} bytes"
    return await in_thread(lambda: _danger(listing.stdout))


def _danger(listing: bytes) -> str | None:
    for record in os.fsdecode(listing).split("\0")[:-1]:
        key, _, value = record.partition("\n")
        name, _, setting = key.removeprefix("submodule.").rpartition(".")
        if key.startswith("submodule.") and _dangerous(name, setting, value):
            said = shown(f"{name}: {value}"[:200])
            return f"names a {setting} that git could take for a command or a place outside ({said})"
    return None


def _dangerous(name: str, setting: str, value: str) -> bool:
    if ".." in re.split(r"[/\\]", name):
        return True
    match setting:
        case "url":
            return value.startswith("-") or bool(_HELPER.match(value)) or any(ord(c) < 32 for c in value)
        case "path":
            return value.startswith(("-", "/")) or ".." in re.split(r"[/\\]", value)
        case "update":
            return value.startswith("!")
        case _:
            return False


def _refuse(path: str, why: str) -> NoReturn:
    raise SnapshotRefused(f"The work can't be committed: {shown(path)!r} {why}; correct it.", [shown(path)])
