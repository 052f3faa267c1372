"""Which names may enter a tree, and how names are shown."""

import os
import re
import unicodedata
from collections.abc import Iterable

MAX_PATH = 4096
"""Bytes of a path."""
MAX_DEPTH = 120
"""Folders within folders; each costs an open descriptor while it is walked."""

_IGNORED_BY_HFS = dict.fromkeys(
    [*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF]
)

_SHORT_GITMODULES = re.compile(r"gitmod~[1-4]|gi7eba~[1-9]|gi7eb~[0-9]{2}")
"""What NTFS may make of the name where only eight characters are kept."""


def is_git_name(name: str) -> bool:
    """Whether some file system takes this name for `.git`, where git would refuse to check it out."""
    if name.isascii() and "git" not in name.lower():
        return False
    plain = name.translate(_IGNORED_BY_HFS).lower()
    for part in plain.split("\\"):
        if part.partition(":")[0].rstrip(" .") in {".git", "git~1"}:
            return True
    return plain == ".git"


def is_gitmodules(name: str) -> bool:
    """Whether some file system takes this name for `.gitmodules`."""
    plain = name.translate(_IGNORED_BY_HFS).lower().partition(":")[0].rstrip(" .")
    return plain == ".gitmodules" or _SHORT_GITMODULES.fullmatch(plain) is not None


def shown(path: str) -> str:
    """The path as one line of text that can be stored and printed.

    Bytes that are not UTF-8 become escapes, and so do characters that a terminal would act on or not show.
    """
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    return character if character.isprintable() else repr(character)[1:-1]


def folded(path: str) -> str:
    """What a file system that ignores case, composition and invisible characters takes the path for."""
    plain = path if path.isascii() else unicodedata.normalize("NFC", path.translate(_IGNORED_BY_HFS))
    return unicodedata.normalize("NFC", plain.casefold())


def leaves_folder(path: str) -> bool:
    """Whether a tree's path would lead out of the folder it is written to, or into a repository's `.git`.

    Git writes no such tree, but a tree can be made by other means.
    """
    return any(part in {"", ".", ".."} or is_git_name(part) for part in path.split("/"))


def parents(path: str) -> list[str]:
    """The folders a path lies in, outermost first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


def folders_of(paths: Iterable[str]) -> dict[str, None]:
    """All the folders that these paths lie in, each once, in an order that the paths' order decides."""
    found: dict[str, None] = {}
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in found:
            found[folder] = None
            folder = folder.rpartition("/")[0]
    return found


def length(path: str) -> int:
    """Bytes of a path."""
    return len(path) if path.isascii() else len(os.fsencode(path))
