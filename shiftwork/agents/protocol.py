"""How the harness starts and understands one kind of agent."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from shiftwork.agents.events import AgentEvent


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """What a backend needs to know to start its agent; the brief folder says the rest."""

    workspace: Path
    brief: Path
    outbox: Path
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AgentCommand:
    """The program to start: its argv, what the environment adds, and what it reads on standard input."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes = b""


class AgentBackend(Protocol):
    """One kind of agent. Stateless: one object serves every session."""

    name: str
    can_resume: bool

    def check(self, settings: Mapping[str, str]) -> None:
        """Raise `InvalidInput` if these settings can't work; called before anything is started."""

    def command(self, request: AgentRequest) -> AgentCommand:
        """The program that does this request."""

    def parse(self, line: bytes) -> Iterable[AgentEvent]:
        """The events in one line of the agent's standard output; none for what is not understood."""
