"""The one file that holds a conversation: replaced whole, so that a kill at any moment leaves a whole one."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ormsgpack

VERSION = 1
"""Of the file's format; a file of another version is not gone on with."""


class UnusableState(Exception):  # noqa: N818 - the run goes on, anew
    """The file is there and can't be gone on with; the text says why."""


class StateFile:
    """Reads and replaces the state of one conversation."""

    def __init__(self, path: Path, conversation: str) -> None:
        self.path = path
        self._conversation = conversation

    def read(self) -> Mapping[str, Any] | None:
        """The sections as they were written; None if there is no file.

        Raises:
            UnusableState: it is damaged, of another version, or of another conversation.
        """
        try:
            content = ormsgpack.unpackb(self.path.read_bytes(), option=ormsgpack.OPT_NON_STR_KEYS)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise UnusableState(f"{self.path.name} can't be read ({error})") from error
        if not isinstance(content, dict) or content.get("version") != VERSION:
            raise UnusableState(f"{self.path.name} is of another version")
        if content.get("conversation") != self._conversation:
            raise UnusableState(f"{self.path.name} is of another conversation")
        sections = content.get("sections")
        if not isinstance(sections, dict):
            raise UnusableState(f"{self.path.name} is incomplete")
        return sections

    def write(self, sections: Mapping[str, Any]) -> None:
        """Replace the file, and return when it is on the disk."""
        content = {"version": VERSION, "conversation": self._conversation, "sections": sections}
        data = ormsgpack.packb(content, option=ormsgpack.OPT_NON_STR_KEYS)
        temporary = self.path.with_name(self.path.name + ".new")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
