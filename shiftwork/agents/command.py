"""Any program as an agent: an argv with places in it, and a prompt on standard input or as an argument."""

from collections.abc import Iterable, Mapping
from string import Formatter
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from shiftwork.agents.access import OwnProgramSettings, given_environment, own_provider
from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.agents.program import find_program
from shiftwork.agents.protocol import AgentCommand, AgentRequest, BackendReport, Provider, Reader, Settings
from shiftwork.agents.scripted import EventLines
from shiftwork.agents.settings import ARGUMENT_BYTES, BackendSettings
from shiftwork.errors import InvalidInput
from shiftwork.text import printable, truncate

PLACES = ("prompt", "brief", "outbox", "workspace", "model")
"""What may stand in braces in `argv`."""

_TEXT_CHARACTERS = 20_000
"""Longer lines of a program's prose are cut."""

_SIGNALLED = range(129, 129 + 64)
"""Exit statuses that mean, in the shell's convention, that a signal ended the program."""


class CommandSettings(OwnProgramSettings):
    """What a project says about its program.

    Attributes:
        argv: the program and its arguments; `{prompt}`, `{brief}`, `{outbox}`, `{workspace}` and `{model}`
            are replaced, doubled braces stand for themselves.
        prompt: how the program is told what to do; `argument` without `{prompt}` in `argv` appends it.
        events: what the program prints: prose, or one `AgentEvent` a line as JSON.
    """

    argv: Annotated[tuple[str, ...], Field(min_length=1)]
    prompt: Literal["stdin", "argument", "none"] = "stdin"
    events: Literal["text", "jsonl"] = "text"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        places = {place for part in self.argv for place in _places(part)}
        if not self.argv[0]:
            raise ValueError("'argv' has to begin with a program")
        if "prompt" in places and self.prompt != "argument":
            raise ValueError("'argv' holds {prompt}, so 'prompt' has to be 'argument'")
        if ("model" in places) != (self.model is not None):
            raise ValueError("'model' and {model} in 'argv' need each other")
        return self


class CommandBackend:
    """Starts the program that the setting `argv` names; it remembers nothing."""

    name = "command"
    can_resume = False
    resumes_elsewhere = True
    conversation_file = None
    interrupt_first = False
    quotes_model = False

    def check(self, settings: Settings) -> None:
        """Raise `InvalidInput` if the settings don't fit together; the program is looked for later."""
        self._read(settings)

    def new_conversation(self) -> str | None:
        """None: it has no conversations that it could go on with."""
        return None

    def provider(self, settings: Settings) -> Provider | None:
        """What the settings say."""
        return own_provider(self.name, self._read(settings))

    def command(self, request: AgentRequest) -> AgentCommand:
        """The program, with everything in its place; raises `InvalidInput` for a prompt that is too long."""
        settings = self._read(request.settings)
        told = full_prompt(request)
        values = {
            "prompt": told,
            "brief": str(request.seen(request.brief) if request.brief else ""),
            "outbox": str(request.seen(request.outbox) if request.outbox else ""),
            "workspace": str(request.seen(request.workspace)),
            "model": settings.model or "",
        }
        argv = [_fill(part, values) for part in settings.argv] + list(settings.arguments)
        if settings.prompt == "argument":
            _check_length(told)
            if not any("prompt" in _places(part) for part in settings.argv):
                argv.append(told)
        stdin = told.encode() if settings.prompt == "stdin" else b""
        return AgentCommand(tuple(argv), given_environment(settings, request), stdin)

    def reader(self, request: AgentRequest) -> Reader:
        """What `events` asks for."""
        return EventLines() if self._read(request.settings).events == "jsonl" else ProseLines()

    def diagnose(self, settings: Settings) -> BackendReport:
        """Whether the program that `argv` names is there; without settings there is nothing to miss."""
        if not settings:
            return BackendReport(self.name)
        return diagnose_argv(self.name, self._read(settings).argv)

    def _read(self, settings: Settings) -> CommandSettings:
        read = CommandSettings.read(self.name, settings)
        refuse_settings(self.name, read, ("program", "permission_mode", "tools"))
        return read


class ProseLines:
    """Reads what a plain program prints. It has no other last word than its exit status, so that counts."""

    def read(self, line: bytes) -> Iterable[AgentEvent]:
        """One `text` event for every line that says something."""
        text = printable(line.decode("utf-8", "replace")).rstrip()
        if not text:
            return ()
        return (AgentEvent(kind=AgentEventKind.TEXT, text=truncate(text, _TEXT_CHARACTERS)),)

    def end(self, exit_status: int) -> Iterable[AgentEvent]:
        """`finished`, unless a signal ended the program: then it had no last word."""
        if exit_status in _SIGNALLED:
            return ()
        ok = exit_status == 0
        said = "" if ok else f"The program ended with exit status {exit_status}."
        return (AgentEvent(kind=AgentEventKind.FINISHED, ok=ok, text=said),)


def full_prompt(request: AgentRequest) -> str:
    """The prompt for a program that knows no system prompt: both, one after the other."""
    return "\n\n".join(part for part in (request.system_prompt, request.prompt) if part)


def refuse_settings(backend: str, settings: BackendSettings, names: Iterable[str]) -> None:
    """Raise `InvalidInput` for settings that this backend has no use for, instead of ignoring them."""
    for name in names:
        if name in settings.model_fields_set and getattr(settings, name):
            raise InvalidInput(
                f"Backend {backend!r} has no use for the setting {name!r}: "
                "say it in 'argv' or 'environment', as the program wants it."
            )


def diagnose_argv(backend: str, argv: tuple[str, ...], version: str | None = None) -> BackendReport:
    """Whether the program that begins `argv` is on `PATH`, or where it says."""
    program = find_program(argv[0])
    problem = f"The program {argv[0]!r} was not found: install it, or give its path in the setting 'argv'."
    return BackendReport(backend, program, version, () if program else (problem,))


def _places(part: str) -> set[str]:
    """The places in one argument; raises `ValueError` for what is none."""
    try:
        parsed = list(Formatter().parse(part))
    except ValueError as error:
        raise ValueError(f"{part!r} has a lone brace; double it to have it stand for itself") from error
    found = set()
    for _, name, form, conversion in parsed:
        if name is None:
            continue
        if name not in PLACES or form or conversion:
            shown = ", ".join(f"{{{place}}}" for place in PLACES)
            raise ValueError(f"{part!r} has an unknown place {{{name}}}; known are {shown}")
        found.add(name)
    return found


def _fill(part: str, values: Mapping[str, str]) -> str:
    return part.format_map(values).replace("\0", "")


def _check_length(prompt: str) -> None:
    size = len(prompt.encode())
    if size > ARGUMENT_BYTES:
        raise InvalidInput(
            f"The prompt has {size} bytes, too many for an argument: set 'prompt' to 'stdin', "
            "or have the program read the brief."
        )
