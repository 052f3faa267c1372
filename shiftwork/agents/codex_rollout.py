"""The file that Codex keeps of a conversation: what was spent so far, which it prints only at the end.

The agent can write there, so only a regular file is read, a bounded part of it, and nothing but sums and
the model's name is taken from it.
"""

import json
import os
from pathlib import Path
from typing import Any

from shiftwork.agents.bounds import tokens
from shiftwork.agents.home import PrivateHome, is_conversation
from shiftwork.contracts.session import Spent

_DATE_PARTS = 3
"""Conversations are kept by year, month and day."""

_MOST_DAYS = 400
_READ_BYTES = 4_000_000
"""Most that is read at once; of what is longer, only the end."""


def find_rollout(codex_home: Path, thread: str) -> str | None:
    """The file of this conversation, as a path in that folder, or None; the newest if there are several."""
    if not is_conversation(thread):
        return None
    home = PrivateHome(codex_home)
    folders = ["sessions"]
    for _ in range(_DATE_PARTS):
        inside = [f"{folder}/{name}" for folder in folders for name in home.folders(folder)]
        folders = sorted(inside, reverse=True)[:_MOST_DAYS]
    for folder in folders:
        for name in sorted(home.files(folder), reverse=True):
            if name.startswith("rollout-") and name.endswith(f"-{thread}.jsonl"):
                return f"{folder}/{name}"
    return None


def spent_of(usage: object) -> Spent:
    """The sums that Codex reports, where the prompt includes what came from or went to a cache."""
    facts = usage if isinstance(usage, dict) else {}
    read, written = tokens(facts.get("cached_input_tokens")), tokens(facts.get("cache_write_input_tokens"))
    return Spent(
        input_tokens=max(0, tokens(facts.get("input_tokens")) - read - written),
        output_tokens=tokens(facts.get("output_tokens")),
        cache_read_tokens=read,
        cache_write_tokens=written,
    )


class Rollout:
    """Reads what is new in the file of one conversation.

    Attributes:
        spent: what the whole conversation spent so far, as far as the file tells.
        model: the model it last worked with; '' if the file does not tell.
    """

    def __init__(self, codex_home: Path, thread: str) -> None:
        self.spent: Spent | None = None
        self.model = ""
        self._home = codex_home
        self._thread = thread
        self._path: str | None = None
        self._offset = 0

    def refresh(self) -> None:
        """Read on; a file that is not there, or can't be read, tells nothing."""
        self._path = self._path or find_rollout(self._home, self._thread)
        if self._path is None:
            return
        try:
            data = self._news(self._path)
        except OSError:
            return  # The numbers in the program's last event count all the same.
        for line in data.splitlines():
            if b'_usage"' in line or b'"turn_context"' in line:
                self._hear(line)

    def _news(self, path: str) -> bytes:
        """The complete lines that were added."""
        fd = PrivateHome(self._home).open(path)
        try:
            start = max(self._offset, os.fstat(fd).st_size - _READ_BYTES)
            data = os.pread(fd, _READ_BYTES, start)
        finally:
            os.close(fd)
        whole = data[: data.rfind(b"\n") + 1]
        self._offset = start + len(whole)
        return whole

    def _hear(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            return
        payload = entry.get("payload") if isinstance(entry, dict) else None
        if not isinstance(payload, dict):
            return
        if entry.get("type") == "turn_context" and isinstance(payload.get("model"), str):
            self.model = payload["model"][:200]
        elif entry.get("type") == "token_usage_record":
            self._count(payload, "thread_token_usage")
        elif payload.get("type") == "token_count" and isinstance(payload.get("info"), dict):
            self._count(payload["info"], "total_token_usage")

    def _count(self, facts: dict[str, Any], name: str) -> None:
        if isinstance(facts.get(name), dict):
            self.spent = spent_of(facts[name])
