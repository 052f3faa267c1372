"""How the harness starts and understands one kind of agent."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from shiftwork.agents.events import AgentEvent
from shiftwork.contracts.session import Spent

Settings = Mapping[str, Any]
"""What a project says about its backend; each backend validates its own (see `settings.BackendSettings`)."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """The agent program's own session.

    Attributes:
        id: what the program calls it; chosen by us before the start where the program allows that.
        resumed: whether it is gone on with; otherwise it is new.
        counted: what was recorded of it before, for programs that report sums over a whole conversation.
    """

    id: str
    resumed: bool = False
    counted: Spent = field(default_factory=Spent)


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """What a backend needs to know to start its agent.

    Attributes:
        workspace: the folder it works in.
        prompt: what it is told; given on standard input where the program reads it there.
        system_prompt: what it is told beside its own instructions; '' for nothing.
        brief, outbox: the two folders of a session; None outside of sessions.
        home: a private folder for the program's configuration and conversations, kept from attempt to
            attempt of one session; None: the program uses its user's own.
        conversation: the one to start or to go on with; None lets the program choose.
    """

    workspace: Path
    prompt: str = ""
    system_prompt: str = ""
    brief: Path | None = None
    outbox: Path | None = None
    home: Path | None = None
    settings: Settings = field(default_factory=dict)
    conversation: Conversation | None = None


@dataclass(frozen=True, slots=True)
class AgentCommand:
    """The program to start: its argv, what the environment adds, and what it reads on standard input."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes = b""


@dataclass(frozen=True, slots=True)
class BackendReport:
    """What `shiftwork doctor` says of a backend.

    Attributes:
        program: where it was found; None if it was not.
        version: what it says of itself.
        problems: one sentence each: what is missing, and what to do.
    """

    name: str
    program: str | None = None
    version: str | None = None
    problems: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether nothing is missing."""
        return not self.problems


class Reader(Protocol):
    """Understands what one run of an agent prints; knows what it heard before."""

    def read(self, line: bytes) -> Iterable[AgentEvent]:
        """The events in one line of standard output; none for what is not understood."""

    def end(self, exit_status: int) -> Iterable[AgentEvent]:
        """The events that follow from the end of the process; none for all who speak for themselves."""


class AgentBackend(Protocol):
    """One kind of agent. Stateless: one object serves every session.

    Attributes:
        can_resume: whether a conversation can be gone on with after a crash.
        interrupt_first: whether its program ends most cleanly when it is interrupted (INT) before TERM.
    """

    name: str
    can_resume: bool
    interrupt_first: bool

    def check(self, settings: Settings) -> None:
        """Raise `InvalidInput` if these settings can't work; called before anything is started."""

    def new_conversation(self) -> str | None:
        """An id for a conversation that is about to start; None if only the program can choose one."""

    def command(self, request: AgentRequest) -> AgentCommand:
        """The program that does this request; may write configuration into `request.home`."""

    def reader(self, request: AgentRequest) -> Reader:
        """What understands this request's run."""

    def diagnose(self, settings: Settings) -> BackendReport:
        """Look whether its program can be used here; runs nothing but a version query."""
