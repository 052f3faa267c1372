"""Turning what an ACP agent reports into agent events."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from acp.schema import (
    AgentMessageChunk,
    AgentThoughtChunk,
    ContentToolCallContent,
    Cost,
    TextContentBlock,
    ToolCallProgress,
    ToolCallStart,
    Usage,
    UsageUpdate,
)

from shiftwork.agents.bounds import dollars, shown
from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.text import truncate

Say = Callable[[AgentEvent], None]

_CHUNK_CHARACTERS = 4_000
"""Prose comes in small pieces; they are joined up to about this length."""

_RESULT_CHARACTERS = 4_000


@dataclass(slots=True)
class _Call:
    """One tool call, as far as it has been reported."""

    name: str = ""
    kind: str = ""
    status: str = ""
    given: Any = None
    result: str = ""
    announced: bool = False
    ended: bool = False


class Updates:
    """Hears the updates of one session and says the events.

    Until `begin` is called, what is heard is the past of a session that is gone on with: nothing is said of
    it, but what it cost, and was not counted yet, is told at `begin`.
    """

    def __init__(self, say: Say, counted_cost_usd: float) -> None:
        self._say = say
        self._counted = counted_cost_usd
        self._told: float = counted_cost_usd
        self._live = False
        self._calls: dict[str, _Call] = {}
        self._prose: list[str] = []
        self._prose_kind = AgentEventKind.TEXT

    def forget(self) -> None:
        """The session is not gone on with after all: nothing was spent in the new one."""
        self._counted = self._told = 0.0

    def begin(self) -> None:
        """From now on, what is heard is new."""
        self._live = True
        self._say_cost()

    def hear(self, update: object) -> None:
        """One `session/update`; kinds that say nothing of the work are passed over."""
        match update:
            case UsageUpdate(cost=Cost() as cost):
                self._add_cost(cost)
            case _ if not self._live:
                return
            case AgentMessageChunk(content=TextContentBlock(text=text)):
                self._add_prose(AgentEventKind.TEXT, text)
            case AgentThoughtChunk(content=TextContentBlock(text=text)):
                self._add_prose(AgentEventKind.THINKING, text)
            case ToolCallStart() | ToolCallProgress():
                self._hear_call(update)

    def spent(self, usage: Usage) -> None:
        """The tokens of the turn, which the agent tells at its end."""
        self._say(
            AgentEvent(
                kind=AgentEventKind.USAGE,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens + (usage.thought_tokens or 0),
                cache_read_tokens=usage.cached_read_tokens or 0,
                cache_write_tokens=usage.cached_write_tokens or 0,
                cost_usd=0.0 if self._told else None,
            )
        )

    def flush(self) -> None:
        """Say the prose that was held back."""
        text = "".join(self._prose)
        self._prose.clear()
        if text.strip():
            self._say(AgentEvent(kind=self._prose_kind, text=text, part=True))

    def _add_prose(self, kind: AgentEventKind, text: str) -> None:
        if kind is not self._prose_kind:
            self.flush()
            self._prose_kind = kind
        self._prose.append(text)
        if sum(map(len, self._prose)) >= _CHUNK_CHARACTERS:
            self.flush()

    def _add_cost(self, cost: Cost) -> None:
        """The protocol tells the sum over the whole session; events tell what was added."""
        told = dollars(cost.amount)
        if cost.currency != "USD" or told is None:
            return
        self._told = told
        if self._live:
            self._say_cost()

    def _say_cost(self) -> None:
        # A smaller sum than before: this agent counts anew when a session is gone on with.
        added = self._told - self._counted if self._told >= self._counted else self._told
        self._counted = self._told
        if added > 0:
            self._say(AgentEvent(kind=AgentEventKind.USAGE, cost_usd=added))

    def _hear_call(self, update: ToolCallStart | ToolCallProgress) -> None:
        call = self._calls.setdefault(update.tool_call_id, _Call())
        # A later title tells what the call is about ("List the files"); the first one names the tool.
        call.name = call.name or update.title or ""
        call.kind = update.kind or call.kind
        call.status = update.status or call.status
        call.given = update.raw_input or call.given
        call.result = _result(update) or call.result
        over = call.status in ("completed", "failed")
        # While it is pending, its input is still being written.
        if not call.announced and call.status != "pending":
            call.announced = True
            self._announce(update.tool_call_id, call)
        if over and not call.ended:
            call.ended = True
            self._conclude(update.tool_call_id, call)

    def _announce(self, identity: str, call: _Call) -> None:
        self.flush()
        facts = {"call": identity, "kind": call.kind, "input": call.given}
        self._say(AgentEvent(kind=AgentEventKind.TOOL_USE, text=call.name or call.kind, data=facts))

    def _conclude(self, identity: str, call: _Call) -> None:
        self.flush()
        self._say(
            AgentEvent(
                kind=AgentEventKind.TOOL_RESULT,
                text=truncate(call.result, _RESULT_CHARACTERS),
                ok=call.status == "completed",
                data={"call": identity},
            )
        )


def _result(update: ToolCallStart | ToolCallProgress) -> str:
    """What a tool yielded, as text; '' if it has not yielded any."""
    texts = [
        part.content.text
        for part in update.content or ()
        if isinstance(part, ContentToolCallContent) and isinstance(part.content, TextContentBlock)
    ]
    if texts or update.raw_output is None:
        return "\n".join(texts)
    return shown(update.raw_output, _RESULT_CHARACTERS)
