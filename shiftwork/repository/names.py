"""Which names may enter a tree, and how names are shown."""

import os
import unicodedata

MAX_PATH = 4096
"""Bytes of a path."""
MAX_DEPTH = 120
"""Folders within folders; each costs an open descriptor while it is walked."""

_IGNORED_BY_HFS = dict.fromkeys(
    [*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF]
)


def is_git_name(name: str) -> bool:
    """Whether some file system takes this name for `.git`, where git would refuse to check it out."""
    if name.isascii() and "git" not in name.lower():
        return False
    plain = name.translate(_IGNORED_BY_HFS).lower()
    for part in plain.split("\\"):
        if part.partition(":")[0].rstrip(" .") in {".git", "git~1"}:
            return True
    return plain == ".git"


def shown(path: str) -> str:
    """The path as text that can be stored and printed; bytes that are not UTF-8 become escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def folded(path: str) -> str:
    """What a file system that ignores case and composition takes the path for."""
    return unicodedata.normalize("NFC", path.casefold())


def parents(path: str) -> list[str]:
    """The folders a path lies in, outermost first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]
