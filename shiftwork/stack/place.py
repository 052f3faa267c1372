"""What a state folder is called among all those whose workers share one stack."""

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

_FILE = "place"
_NAME = re.compile("[0-9a-f]{16}")
_MARK = "#"


def place_of(state: Path) -> str:
    """The name of this state folder: random, made at first use, the same for all who work in it."""
    file = state / _FILE
    while True:
        with suppress(FileNotFoundError):
            if _NAME.fullmatch(name := file.read_text(encoding="ascii", errors="replace").strip()):
                return name
            file.unlink(missing_ok=True)
        draft = state / f".{_FILE}.{secrets.token_hex(8)}"
        with open(draft, "x", encoding="ascii", opener=_private) as written:
            written.write(secrets.token_hex(8))
        # Of two that make it at once, the first one's stays.
        with suppress(FileExistsError):
            os.link(draft, file)
        draft.unlink()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def with_place(identity: str, place: str) -> str:
    """What a worker calls itself to the server, so that its place is known there."""
    return f"{identity}{_MARK}{place}"


def place_in(identity: str) -> str | None:
    """The place of a worker that calls itself so; None: it tells of none."""
    _, mark, place = identity.rpartition(_MARK)
    return place if mark and _NAME.fullmatch(place) else None
