"""How the harness starts and understands one kind of agent."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from shiftwork.agents.events import AgentEvent
from shiftwork.contracts.session import Spent
from shiftwork.sandbox.cell import seen
from shiftwork.sandbox.confinement import Bind

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


Wire = Literal["anthropic", "openai", "gemini", "ollama"]
"""The protocol of a model's API: Anthropic's messages, OpenAI's (chat, responses), Gemini's or Ollama's."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Where a backend's model is, and what opens it. Known to the gateway alone, never to the agent.

    Attributes:
        wire: what it speaks.
        base_url: where it is; for `openai` with its `/v1`.
        header: what carries the credential, as `x-api-key`; `authorization` carries it as a bearer.
        credential: its value; '' where none is needed.
    """

    wire: Wire
    base_url: str
    header: str
    credential: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ModelAccess:
    """How an agent reaches its model: through the gateway.

    Attributes:
        url: of the gateway, without a path.
        token: what it takes in the place of the provider's credential; worth nothing elsewhere.
        header: which the provider takes its credential in; some programs behave differently with a login.
    """

    url: str
    token: str = field(repr=False)
    header: str = ""


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """What a backend needs to know to start its agent.

    Paths are those of this machine; what the agent is told of them goes through `seen`.

    Attributes:
        workspace: the folder it works in.
        prompt: what it is told; given on standard input where the program reads it there.
        system_prompt: what it is told beside its own instructions; '' for nothing.
        brief, outbox: the two folders of a session; None outside of sessions.
        home: a private folder for the program's configuration and conversations, kept from attempt to
            attempt of one session; None: the program uses its user's own.
        conversation: the one to start or to go on with; None lets the program choose.
        access: the gateway to its model; None: the program reaches its provider itself.
        binds: where a confined agent sees what.
        judged: whether a verifier judges the verification steps that have no command.
        files_lost: whether the conversation goes on without the files that it left.
        guarded: whether nothing that is written while it runs may change how its program works, as far as
            that can be told to it: a verifier executes code that it must not trust.
    """

    workspace: Path
    prompt: str = ""
    system_prompt: str = ""
    brief: Path | None = None
    outbox: Path | None = None
    home: Path | None = None
    settings: Settings = field(default_factory=dict)
    conversation: Conversation | None = None
    access: ModelAccess | None = None
    binds: tuple[Bind, ...] = ()
    judged: bool = False
    files_lost: bool = False
    guarded: bool = False

    def seen(self, path: Path) -> Path:
        """Where the agent sees this absolute path."""
        return seen(self.binds, path)


@dataclass(frozen=True, slots=True)
class AgentCommand:
    """The program to start.

    Attributes:
        argv: the program and its arguments.
        env: what its environment adds.
        stdin: what it reads on standard input.
        reads: files and folders, beside its own installation, that it has to read.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes = b""
    reads: tuple[Path, ...] = ()


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
        resumes_elsewhere: whether that works in a workspace of another path than where it began.
        conversation_file: the one file in its home that holds all of a conversation, if its program tells of
            each new state of it (`saved`): a copy lets another host go on. None: they stay on theirs.
        interrupt_first: whether its program ends most cleanly when it is interrupted (INT) before TERM.
        quotes_model: whether what its program says as `text` are its model's own words: a verifier's consent
            then has to be among what the gateway hears its model say.
    """

    name: str
    can_resume: bool
    resumes_elsewhere: bool
    interrupt_first: bool
    quotes_model: bool

    @property
    def conversation_file(self) -> str | None:
        """See above."""

    def check(self, settings: Settings) -> None:
        """Raise `InvalidInput` if these settings can't work; called before anything is started."""

    def new_conversation(self) -> str | None:
        """An id for a conversation that is about to start; None if only the program can choose one."""

    def provider(self, settings: Settings) -> Provider | None:
        """Where its model is; None if it needs none, or reaches it in a way that no gateway can stand in for.

        Raises:
            InvalidInput: it needs credentials, and there are none.
        """

    def command(self, request: AgentRequest) -> AgentCommand:
        """The program that does this request; may write configuration into `request.home`."""

    def reader(self, request: AgentRequest) -> Reader:
        """What understands this request's run."""

    def diagnose(self, settings: Settings) -> BackendReport:
        """Look whether its program can be used here; runs nothing but a version query."""
