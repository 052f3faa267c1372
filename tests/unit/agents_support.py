"""Playing a cassette through the real player, in a workspace of its own."""

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shiftwork.agents.brief import BriefRequest, FeatureBrief, ProjectBrief, write_brief
from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.agents.protocol import AgentRequest
from shiftwork.agents.run import AgentEnd, run_agent_process
from shiftwork.agents.scripted import ScriptedBackend
from shiftwork.contracts.session import Role
from shiftwork.sandbox.choose import choose_sandbox


@dataclass
class Played:
    """What came of a play."""

    end: AgentEnd
    workspace: Path
    outbox: Path
    events: list[AgentEvent] = field(default_factory=list)

    @property
    def kinds(self) -> list[str]:
        return [event.kind.value for event in self.events]

    def of(self, kind: AgentEventKind) -> list[AgentEvent]:
        return [event for event in self.events if event.kind is kind]

    def left(self, name: str) -> Any:
        """A file of the outbox: JSON, or a list of JSON lines."""
        text = (self.outbox / name).read_text()
        return [json.loads(line) for line in text.splitlines()] if name.endswith("l") else json.loads(text)


async def play(
    folder: Path,
    cassette: str,
    *,
    feature: str = "a",
    run: int = 0,
    role: Role = Role.SESSION,
    timeout: float = 30,
    grace: float = 0.3,
    stop: asyncio.Event | None = None,
    on_event: Any = None,
) -> Played:
    """Write the cassette and a brief, and run the scripted agent."""
    path = folder / "demo.yml"
    path.write_text(cassette)
    workspace, outbox, brief = (folder / name for name in ("workspace", "outbox", "brief"))
    workspace.mkdir(exist_ok=True)
    outbox.mkdir(exist_ok=True)
    asked = None if role is Role.INITIALIZER else FeatureBrief(id=1, name=feature)
    project = ProjectBrief(id="p", name="Project")
    write_brief(brief, BriefRequest(project=project, role=role, session=1, run=run, feature=asked))
    events: list[AgentEvent] = []

    async def listen(event: AgentEvent) -> None:
        events.append(event)
        if on_event:
            on_event(event)

    backend = ScriptedBackend()
    end = await run_agent_process(
        backend,
        AgentRequest(workspace, brief=brief, outbox=outbox, settings={"cassette": str(path)}),
        env={"HOME": str(folder)},
        sandbox=choose_sandbox(),
        timeout=timeout,
        grace=grace,
        on_event=listen,
        stop=stop,
    )
    return Played(end, workspace, outbox, events)


def steps(text: str) -> str:
    """A cassette whose feature `a` has one attempt of these steps, one a line."""
    return "sessions:\n  a:\n    -\n" + "".join(f"      - {line}\n" for line in text.strip().splitlines())
