"""What can go wrong with an agent's process, as one tree.

    AgentError                what the runner raises; its text says what, which and what to do
    ├── SpawnFailed           nothing was started; `program`, `looked_in`, `hint`
    ├── ExecutionError        it ended badly, or can't do this now; `code`, `signal`, `limit`
    ├── CommunicationError    its standard input can't be written; `stream`
    ├── NotFound              no agent of this runner has that id; `agent`
    ├── Timeout               something took longer than it may; `seconds`, `limit`
    ├── InvalidContext        a field of the agent's description is wrong; `field`
    ├── IoError               the system refused a pipe or a file; `errno`
    └── ProviderError         its backend can't be used like this; `provider`

`Timeout` and `IoError`, and a `SpawnFailed` that names a limit, can be helped by trying again.
"""

from shiftwork import errors


class AgentError(errors.ShiftworkError):
    """What the runner raises; `agent` is the id of the agent, '' before it has one."""

    def __init__(self, message: str, *, agent: str = "") -> None:
        super().__init__(message)
        self.agent = agent


class SpawnFailed(AgentError):  # noqa: N818 - the source document's name
    """Nothing was started.

    Attributes:
        program: what was to be started; '' if it did not come to that.
        looked_in: the folders where it was looked for.
        hint: what to do.
        limit: the setting that does not allow one more agent, or ''.
    """

    def __init__(
        self,
        message: str,
        *,
        program: str = "",
        looked_in: tuple[str, ...] = (),
        hint: str = "",
        limit: str = "",
        agent: str = "",
    ) -> None:
        super().__init__(f"{message} {hint}".rstrip(), agent=agent)
        self.program = program
        self.looked_in = looked_in
        self.hint = hint
        self.limit = limit


class ExecutionError(AgentError):
    """It ended badly, or is in a state that does not allow what was asked.

    Attributes:
        code: its exit status, None if it has none.
        signal: the signal that ended it, or None.
        limit: the limit that it broke, or ''.
    """

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        signal: int | None = None,
        limit: str = "",
        agent: str = "",
    ) -> None:
        super().__init__(message, agent=agent)
        self.code = code
        self.signal = signal
        self.limit = limit


class CommunicationError(AgentError):
    """Its standard input can't be written; `stream` names it."""

    def __init__(self, message: str, *, stream: str = "stdin", agent: str = "") -> None:
        super().__init__(message, agent=agent)
        self.stream = stream


class NotFound(AgentError, errors.NotFound):  # noqa: N818 - the source document's name
    """No agent of this runner has that id."""


class Timeout(AgentError):  # noqa: N818 - the source document's name
    """Something took longer than `seconds`; `limit` names the setting that says so, if one does."""

    def __init__(self, message: str, *, seconds: float, limit: str = "", agent: str = "") -> None:
        super().__init__(message, agent=agent)
        self.seconds = seconds
        self.limit = limit


class InvalidContext(AgentError, errors.InvalidInput):  # noqa: N818 - the source document's name
    """A field of the agent's or the runner's description is wrong; `field` names it."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


class IoError(AgentError):
    """The system refused a pipe or a file; `errno` says why."""

    def __init__(self, message: str, *, errno: int | None, agent: str = "") -> None:
        super().__init__(message, agent=agent)
        self.errno = errno


class ProviderError(AgentError):
    """Its backend can't be used like this; `provider` names the backend."""

    def __init__(self, message: str, *, provider: str) -> None:
        super().__init__(message)
        self.provider = provider
