"""What survives a kill: the conversation, the tool calls that have begun, what was spent, the outbox."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any

from shiftwork.agents.langchain.program.statefile import StateFile


def digest(text: str) -> str:
    """By which a prompt is known again."""
    return sha256(text.encode("utf-8", "replace")).hexdigest()


Packed = dict[str, Any]
"""Plain values and bytes, as the state file holds them."""


@dataclass
class Spending:
    """What a conversation has used, over all its runs.

    Attributes:
        turns: answers of the model, those of sub-agents and summaries included.
        tokens: of prompts and answers.
        malformed: calls in a row that named no tool or had unusable arguments.
    """

    turns: int = 0
    tokens: int = 0
    malformed: int = 0


@dataclass
class Memory:
    """Everything that the next run needs; changed in place, then saved as a whole.

    Attributes:
        file: where it is kept; None: nowhere.
        on_saved: says that it was.
        threads: checkpoints by namespace, packed; see `saver`.
        begun: tool calls that have begun, as (namespace, id of the call).
        outbox: files left so far, by name.
        drafts: unfinished work of tools, as a plan that comes in parts.
        reminders: how often the model was told that it has not handed over.
        over: why the model itself ended its work: `handed_over` or `question`; '' while it works.
        told: digest of the prompt that the model was told last.
        untold: a prompt that the model has yet to be told; not kept, as each run has its own.
    """

    file: StateFile | None
    on_saved: Callable[[], None]
    threads: dict[str, Packed] = field(default_factory=dict)
    begun: set[tuple[str, str]] = field(default_factory=set)
    outbox: dict[str, str] = field(default_factory=dict)
    drafts: dict[str, Any] = field(default_factory=dict)
    spending: Spending = field(default_factory=Spending)
    reminders: int = 0
    over: str = ""
    told: str = ""
    untold: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def load(self) -> bool:
        """Take over what the file holds; False if there is none. Raises `UnusableState`."""
        sections = self.file.read() if self.file is not None else None
        if sections is None:
            return False
        self.threads = dict(sections["threads"])
        self.begun = {(namespace, call) for namespace, call in sections["begun"]}
        self.outbox = dict(sections["outbox"])
        self.drafts = dict(sections["drafts"])
        self.spending = Spending(**sections["spending"])
        self.reminders, self.over, self.told = sections["reminders"], sections["over"], sections["told"]
        return True

    def save(self, *, announce: bool = False) -> None:
        """Write it to the disk before anything goes on; `announce`: and say so."""
        if self.file is None:
            return
        with self._lock:
            self.file.write(self._sections())
        if announce:
            self.on_saved()

    def take_untold(self) -> str:
        """The prompt that the model has yet to be told; '' if there is none, or it was taken."""
        prompt, self.untold = self.untold, ""
        if prompt:
            self.told = digest(prompt)
        return prompt

    def forget_begun(self, namespace: str) -> None:
        """All calls of this namespace have ended, and those of sub-agents within it."""
        prefix = f"{namespace}|" if namespace else ""
        self.begun = {
            (where, call) for where, call in self.begun if where != namespace and not where.startswith(prefix)
        }

    def _sections(self) -> Mapping[str, Any]:
        return {
            "threads": self.threads,
            "begun": sorted(self.begun),
            "outbox": self.outbox,
            "drafts": self.drafts,
            "spending": asdict(self.spending),
            "reminders": self.reminders,
            "over": self.over,
            "told": self.told,
        }
