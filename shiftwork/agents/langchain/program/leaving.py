"""Leaving files in the outbox, so that a later run of the same conversation can leave them again."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from shiftwork.agents.langchain.program.memory import Memory

HANDED_OVER = "handed_over"
ASKED = "question"


class Leaving:
    """Writes the outbox's files, and remembers what they hold; without a folder, it only remembers."""

    def __init__(self, folder: Path | None, memory: Memory) -> None:
        self._folder = folder
        self.memory = memory

    def leave_last(self, *, alone: bool) -> None:
        """Write all of it once more, whatever became of it; `alone`: and remove what anybody else left."""
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        for entry in list(self._folder.iterdir()):
            ours = entry.name in self.memory.outbox
            if entry.is_dir() and not entry.is_symlink():
                if ours or alone:
                    shutil.rmtree(entry)
            elif alone and not ours:
                entry.unlink()
        self.restore()

    def restore(self) -> None:
        """Leave again what an earlier run left: each has an outbox of its own."""
        for name, text in self.memory.outbox.items():
            self._write(name, text)

    def leave(self, name: str, content: Any, *, over: str = "") -> None:
        """Write a JSON file; `over`: and that is why the agent ends."""
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        self._leave(name, text, over)

    def leave_line(self, name: str, content: Any) -> None:
        """Add one JSON object to a file of lines."""
        line = json.dumps(content, ensure_ascii=False) + "\n"
        self._leave(name, self.memory.outbox.get(name, "") + line, "")

    def take_back(self, name: str) -> None:
        """What an earlier run left holds no more."""
        self.memory.outbox.pop(name, None)
        if self._folder is not None:
            (self._folder / name).unlink(missing_ok=True)

    def left(self, name: str) -> bool:
        """Whether this file is there."""
        return name in self.memory.outbox

    def _leave(self, name: str, text: str, over: str) -> None:
        self._write(name, text)
        self.memory.outbox[name] = text
        self.memory.over = over or self.memory.over
        self.memory.save()

    def _write(self, name: str, text: str) -> None:
        if self._folder is None:
            return
        temporary = self._folder / f".{name}.new"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        temporary.replace(self._folder / name)
