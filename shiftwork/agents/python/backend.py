"""Backend `python`: an agent that is a text of Python, in a session of a project or in an episode."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import Field, field_validator, model_validator

from shiftwork.agents.access import OwnProgramSettings, given_environment, own_provider
from shiftwork.agents.brief import REQUEST_FILE
from shiftwork.agents.command import ProseLines, full_prompt
from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.agents.protocol import AgentCommand, AgentRequest, BackendReport, Provider, Reader, Settings
from shiftwork.agents.python.telling import MOST_CODE_BYTES, check_code, interpreter, told
from shiftwork.agents.scripted import EventLines
from shiftwork.contracts.outbox import Handoff
from shiftwork.errors import InvalidInput
from shiftwork.runner.environment import base_python

_NO_USE: Final = ("program", "arguments", "permission_mode", "tools", "model")


class PythonSettings(OwnProgramSettings):
    """What a project says about its code.

    Attributes:
        code: the text of the program.
        file: or the absolute path of a file, on the worker, that holds it.
        parameters: what it finds as `parameters`.
    """

    code: str | None = None
    file: Annotated[str, Field(pattern=r"^/")] | None = None
    parameters: dict[str, Any] = {}

    @model_validator(mode="after")
    def _has_code(self) -> Self:
        if (self.code is None) == (self.file is None):
            raise ValueError("give it either 'code', the text of the program, or 'file', an absolute path")
        return self

    @field_validator("code")
    @classmethod
    def _can_be_run(cls, code: str | None) -> str | None:
        if code is not None:
            try:
                check_code(code)
            except InvalidInput as error:
                raise ValueError(str(error).removesuffix(".")) from error
        return code


class PythonBackend:
    """Starts the base interpreter with the code of the settings; it remembers nothing."""

    name = "python"
    can_resume = False
    resumes_elsewhere = True
    conversation_file = None
    interrupt_first = False
    quotes_model = False

    def check(self, settings: Settings) -> None:
        """Raise `InvalidInput` if the settings don't fit together, or the code can't be read."""
        read = self._read(settings)
        told(_code(read), read.parameters, None, "")

    def new_conversation(self) -> str | None:
        """None: it has no conversations that it could go on with."""
        return None

    def provider(self, settings: Settings) -> Provider | None:
        """What the settings say."""
        return own_provider(self.name, self._read(settings)) if settings else None

    def command(self, request: AgentRequest) -> AgentCommand:
        """The interpreter; what it is to do it reads on standard input."""
        settings = self._read(request.settings)
        job = told(_code(settings), settings.parameters, _handoff(request.brief), full_prompt(request))
        return AgentCommand(interpreter("events"), given_environment(settings, request), job)

    def reader(self, request: AgentRequest) -> Reader:  # noqa: ARG002 - part of the protocol
        """Prose, and `AgentEvent`s as JSON for code that prints such."""
        return PythonLines()

    def diagnose(self, settings: Settings) -> BackendReport:
        """Whether the code can be read; the interpreter is always there."""
        problems: tuple[str, ...] = ()
        if settings:
            try:
                self.check(settings)
            except InvalidInput as error:
                problems = (str(error),)
        return BackendReport(self.name, str(base_python()), problems=problems)

    def _read(self, settings: Settings) -> PythonSettings:
        read = PythonSettings.read(self.name, settings)
        for name in _NO_USE:
            if getattr(read, name):
                raise InvalidInput(
                    f"Backend 'python' has no use for the setting {name!r}; its code reads 'parameters'."
                )
        return read


class PythonLines:
    """Reads what an agent's code prints: prose, and between that maybe events of ours as JSON."""

    def __init__(self) -> None:
        self._events = EventLines()
        self._prose = ProseLines()
        self._error = ""

    def read(self, line: bytes) -> Iterable[AgentEvent]:
        """See `Reader.read`."""
        events = tuple(self._events.read(line))
        for event in events:
            if event.kind is AgentEventKind.ERROR:
                self._error = event.text
        return events or self._prose.read(line)

    def end(self, exit_status: int) -> Iterable[AgentEvent]:
        """`finished` by the exit status, as for any plain program; with the exception that ended it."""
        for event in self._prose.end(exit_status):
            yield event if event.ok or not self._error else event.model_copy(update={"text": self._error})


def _code(settings: PythonSettings) -> str:
    if settings.code is not None:
        return settings.code
    path = Path(settings.file or "")
    try:
        with path.open("rb") as file:
            code = file.read(MOST_CODE_BYTES + 1).decode()
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"Backend 'python', setting 'file': {str(path)!r} can't be read: {error}."
        ) from error
    check_code(code)
    return code


def _handoff(brief: Path | None) -> dict[str, Any] | None:
    """What the session before left; None outside of sessions (episodes have none), or if it left nothing."""
    if brief is None or not (brief / REQUEST_FILE).exists():
        return None
    left = json.loads((brief / REQUEST_FILE).read_bytes()).get("handoff")
    return None if left is None else Handoff.model_validate(left).model_dump(mode="json")
