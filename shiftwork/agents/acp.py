"""Agents that speak the Agent Client Protocol (https://agentclientprotocol.com), through a bridge process."""

import os
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from shiftwork.agents.access import OwnProgramSettings, given_environment, own_provider
from shiftwork.agents.command import diagnose_argv, full_prompt, refuse_settings
from shiftwork.agents.protocol import AgentCommand, AgentRequest, BackendReport, Provider, Reader, Settings
from shiftwork.agents.scripted import EventLines, own_code
from shiftwork.contracts.base import Message
from shiftwork.runner.environment import child_environment
from shiftwork.sandbox.visible import installation_of

_BRIDGE = (sys.executable, "-P", "-m", "shiftwork.agents.acp_bridge")


class AcpSettings(OwnProgramSettings):
    """What a project says about its agent.

    Attributes:
        argv: the agent and its arguments, such as `["opencode", "acp"]`.
        permission_mode: the answer to whatever the agent asks leave for.
    """

    argv: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
    permission_mode: Literal["allow", "reject"] | None = None


class BridgeRequest(Message):
    """What the bridge reads on its standard input.

    Attributes:
        conversation: the agent's session to go on with; '' for a new one.
        counted_cost_usd: what was recorded of that one before.
        reject: refuse what the agent asks leave for.
    """

    argv: tuple[str, ...]
    prompt: str
    workspace: str
    brief: str = ""
    outbox: str = ""
    model: str = ""
    conversation: str = ""
    counted_cost_usd: float = 0.0
    reject: bool = False


class AcpBackend:
    """Starts `shiftwork.agents.acp_bridge`, which starts the agent and speaks the protocol with it."""

    name = "acp"
    can_resume = True
    resumes_elsewhere = True
    conversation_file = None
    interrupt_first = False
    quotes_model = True

    def check(self, settings: Settings) -> None:
        """Raise `InvalidInput` if the settings can't work; the agent is looked for when it starts."""
        self._read(settings)

    def new_conversation(self) -> str | None:
        """None: the agent chooses."""
        return None

    def provider(self, settings: Settings) -> Provider | None:
        """What the settings say."""
        return own_provider(self.name, self._read(settings))

    def command(self, request: AgentRequest) -> AgentCommand:
        """The bridge; the request goes to it on standard input, where no other user can read it."""
        settings = self._read(request.settings)
        resumed = request.conversation if request.conversation and request.conversation.resumed else None
        asked = BridgeRequest(
            argv=(*settings.argv, *settings.arguments),
            prompt=full_prompt(request),
            workspace=str(request.seen(request.workspace)),
            brief=str(request.seen(request.brief) if request.brief else ""),
            outbox=str(request.seen(request.outbox) if request.outbox else ""),
            model=settings.model or "",
            conversation=resumed.id if resumed else "",
            counted_cost_usd=resumed.counted.cost_usd if resumed else 0.0,
            reject=settings.permission_mode == "reject",
        )
        stdin = asked.model_dump_json().encode()
        return AgentCommand(
            _BRIDGE,
            given_environment(settings, request),
            stdin,
            reads=(own_code(), *_installation(settings.argv[0])),
        )

    def reader(self, request: AgentRequest) -> Reader:  # noqa: ARG002 - part of the protocol
        """The bridge prints events, one a line as JSON."""
        return EventLines()

    def diagnose(self, settings: Settings) -> BackendReport:
        """Whether the agent that `argv` names is there; without settings, that of the protocol's library."""
        library = version("agent-client-protocol")
        if not settings:
            return BackendReport(self.name, version=library)
        return diagnose_argv(self.name, self._read(settings).argv, library)

    def _read(self, settings: Settings) -> AcpSettings:
        read = AcpSettings.read(self.name, settings)
        refuse_settings(self.name, read, ("program", "tools"))
        return read


def _installation(program: str) -> tuple[Path, ...]:
    """What the agent, which the bridge starts, needs to see of itself."""
    path = child_environment(os.environ, {})["PATH"]
    found = shutil.which(program, path=path)
    return installation_of(Path(found), path) if found else ()
