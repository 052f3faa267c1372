"""The scripted agent: a process that plays a cassette, for demonstrations, tests and evaluation."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from shiftwork.agents.cassette import load_cassette
from shiftwork.agents.events import AgentEvent
from shiftwork.agents.protocol import AgentCommand, AgentRequest
from shiftwork.errors import InvalidInput

_SETTING = "cassette"
_PREFIX = b'{"kind"'
"""How the player's lines begin; everything else is output of what it runs."""


class ScriptedBackend:
    """Starts `shiftwork.agents.player`; the setting `cassette` is the absolute path of the cassette."""

    name = "scripted"
    can_resume = False

    def check(self, settings: Mapping[str, str]) -> None:
        """Load the cassette; raises `InvalidInput` (a `CassetteError`, if the cassette itself is wrong)."""
        for name in settings:
            if name != _SETTING:
                raise InvalidInput(f"The scripted agent has no setting {name!r}; it has {_SETTING!r}.")
        load_cassette(self._cassette(settings))

    def command(self, request: AgentRequest) -> AgentCommand:
        """The player, with the cassette as its argument."""
        player = (sys.executable, "-P", "-m", "shiftwork.agents.player")
        return AgentCommand(argv=(*player, str(self._cassette(request.settings))))

    def parse(self, line: bytes) -> Iterable[AgentEvent]:
        """One event a line, as JSON."""
        if not line.startswith(_PREFIX):
            return ()
        try:
            return (AgentEvent.model_validate_json(line),)
        except ValidationError:
            return ()  # A line of some other program that happens to look alike, or one cut at the bound.

    def _cassette(self, settings: Mapping[str, str]) -> Path:
        path = Path(settings.get(_SETTING, ""))
        if not path.is_absolute():
            raise InvalidInput("The scripted agent needs the setting 'cassette', an absolute path.")
        return path
