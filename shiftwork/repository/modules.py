"""`.gitmodules`: what an agent may write in it, so that nobody's git takes a part of it for a command."""

import os
import re
from collections.abc import Mapping

from shiftwork.errors import SnapshotRefused
from shiftwork.repository.git import Git
from shiftwork.repository.names import is_gitmodules, shown
from shiftwork.repository.objects import TreeEntry

_HELPER = re.compile(r"[A-Za-z0-9+.-]+::")
"""An address that names a program of its own to fetch with, such as `ext::`."""


async def refuse_dangerous_modules(git: Git, changes: Mapping[str, TreeEntry | None]) -> None:
    """Raise `SnapshotRefused` for a changed `.gitmodules` that git refuses too, or that names a program.

    Servers refuse a push that holds such a file, so it would keep main from being delivered.
    """
    for path, entry in changes.items():
        if entry is not None and entry.kind == "blob" and is_gitmodules(path.rpartition("/")[2]):
            problem = await _problem(git, entry.oid)
            if problem is not None:
                raise SnapshotRefused(
                    f"The work can't be committed: {shown(path)!r} {problem}; correct it.", [shown(path)]
                )


async def _problem(git: Git, oid: str) -> str | None:
    listing = await git.call("config", f"--blob={oid}", "--no-includes", "--null", "--list")
    if listing.status:
        return "is no configuration that git can read"
    for record in os.fsdecode(listing.stdout).split("\0")[:-1]:
        key, _, value = record.partition("\n")
        name, _, setting = key.removeprefix("submodule.").rpartition(".")
        if key.startswith("submodule.") and _dangerous(name, setting, value):
            return f"names a {setting} that git could take for a command or a place outside: {record[:200]!r}"
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
