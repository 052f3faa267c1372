"""The scripted agent: a process that plays a cassette, for demonstrations, tests and evaluation."""

import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from pydantic import ValidationError

import shiftwork
from shiftwork.agents.events import AgentEvent
from shiftwork.agents.protocol import AgentCommand, AgentRequest, BackendReport, Provider, Settings
from shiftwork.errors import InvalidInput

_SETTING = "cassette"
_PREFIX = b'{"kind"'
"""How the player's lines begin; everything else is output of what it runs."""


class ScriptedBackend:
    """Starts `shiftwork.agents.player`; the setting `cassette` is the absolute path of the cassette."""

    name = "scripted"
    can_resume = False
    resumes_elsewhere = True
    conversation_file = None
    interrupt_first = False
    quotes_model = False

    def check(self, settings: Settings) -> None:
        """Load the cassette; raises `InvalidInput` (a `CassetteError`, if the cassette itself is wrong)."""
        for name in settings:
            if name != _SETTING:
                raise InvalidInput(f"The scripted agent has no setting {name!r}; it has {_SETTING!r}.")
        # It brings a reader of YAML, which workers of other agents need not load.
        from shiftwork.agents.cassette import load_cassette  # noqa: PLC0415

        load_cassette(self._cassette(settings))

    def provider(self, settings: Settings) -> Provider | None:  # noqa: ARG002 - part of the protocol
        """None: it thinks nothing."""
        return None

    def command(self, request: AgentRequest) -> AgentCommand:
        """The player, with the cassette as its argument."""
        player = (sys.executable, "-P", "-m", "shiftwork.agents.player")
        cassette = self._cassette(request.settings)
        return AgentCommand(argv=(*player, str(cassette)), reads=(own_code(), cassette))

    def new_conversation(self) -> str | None:
        """None: it remembers nothing."""
        return None

    def reader(self, request: AgentRequest) -> "EventLines":  # noqa: ARG002 - part of the protocol
        """One event a line, as JSON."""
        return EventLines()

    def diagnose(self, settings: Settings) -> BackendReport:  # noqa: ARG002 - part of the protocol
        """It is part of Shiftwork: always usable."""
        return BackendReport(self.name, program=sys.executable, version=version("shiftwork"))

    def _cassette(self, settings: Settings) -> Path:
        path = Path(str(settings.get(_SETTING, "")))
        if not path.is_absolute():
            raise InvalidInput("The scripted agent needs the setting 'cassette', an absolute path.")
        return path


def own_code() -> Path:
    """The folder of this package, for programs of ours that run where little can be read."""
    return Path(shiftwork.__file__).resolve().parent


class EventLines:
    """Reads `AgentEvent`s, one a line as JSON; everything else is output of what the agent runs."""

    def read(self, line: bytes) -> Iterable[AgentEvent]:
        """See `Reader.read`."""
        if not line.startswith(_PREFIX):
            return ()
        try:
            return (AgentEvent.model_validate_json(line),)
        except ValidationError:
            return ()  # A line of some other program that happens to look alike, or one cut at the bound.

    def end(self, exit_status: int) -> Iterable[AgentEvent]:  # noqa: ARG002 - part of the protocol
        """Nothing: whoever speaks this protocol says `finished`."""
        return ()
