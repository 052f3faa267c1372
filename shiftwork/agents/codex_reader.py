"""Understanding what `codex exec --json` prints."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from shiftwork.agents.bounds import shown
from shiftwork.agents.codex_errors import end_of
from shiftwork.agents.codex_rollout import Rollout, spent_of
from shiftwork.agents.events import AgentEvent, AgentEventKind, Problem
from shiftwork.agents.protocol import Conversation
from shiftwork.contracts.session import Spent
from shiftwork.text import printable, truncate

_TEXT_CHARACTERS = 20_000
_DATA_CHARACTERS = 4_000
_RETRYING = "Reconnecting..."
_OFFLINE = "waiting for network"
"""Codex waits for ever for a provider that it can't reach, whatever its retry settings say."""

_NO_ANSWER = "The model ended its turn without an answer, as it does when it declines."
_TOOLS = frozenset({"command_execution", "file_change", "mcp_tool_call", "web_search", "collab_tool_call"})

OpenRollout = Callable[[str], Rollout]
"""Opens what Codex keeps of the conversation with this id."""


class CodexReader:
    """One run of Codex.

    Args:
        open_rollout: tells what a conversation spent, while it runs and when it is ended early.
        conversation: the one that was to be gone on with, or None; Codex reports sums over all its runs.
        model: the one that was asked for; '' if none was.
        max_retries: how often it may fail to reach its provider in a row before that counts as its end.
        now: the clock.
    """

    def __init__(
        self,
        open_rollout: OpenRollout,
        *,
        conversation: Conversation | None = None,
        model: str = "",
        max_retries: int = 4,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._open_rollout = open_rollout
        self._known = conversation
        self._model = model
        self._max_retries = max_retries
        self._now = now
        self._thread = ""
        self._rollout: Rollout | None = None
        self._counted = Spent()
        self._started_tools: set[str] = set()
        self._answered = False
        self._offline = 0
        self._trouble = ""
        self._ended = False
        self._handlers: Mapping[str, Callable[[Mapping[str, Any]], Iterable[AgentEvent]]] = {
            "thread.started": self._thread_started,
            "item.started": self._item_started,
            "item.completed": self._item_completed,
            "error": self._error,
            "turn.completed": self._turn_completed,
            "turn.failed": self._turn_failed,
        }

    def read(self, line: bytes) -> Iterable[AgentEvent]:
        """See `Reader.read`."""
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            return ()  # not its protocol, or a line cut at the bound
        kind = said.get("type") if isinstance(said, dict) else None
        handle = self._handlers.get(kind) if isinstance(kind, str) else None
        return () if handle is None or self._ended else tuple(handle(said))

    def end(self, exit_status: int) -> Iterable[AgentEvent]:  # noqa: ARG002 - part of the protocol
        """What was spent since it last spoke, and what it waited for, if it was ended before its turn was."""
        if self._ended:
            return ()
        waited = (end_of(self._trouble, self._now()),) if self._trouble else ()
        return (*self._spent_so_far(), *waited)

    def _thread_started(self, said: Mapping[str, Any]) -> Iterator[AgentEvent]:
        self._thread = str(said.get("thread_id", ""))
        self._rollout = self._open_rollout(self._thread)
        if self._known is not None and self._known.id == self._thread:
            self._counted = self._known.counted
        yield AgentEvent(kind=AgentEventKind.STARTED, conversation=self._thread, model=self._model)

    def _item_started(self, said: Mapping[str, Any]) -> Iterator[AgentEvent]:
        item = _mapping(said.get("item"))
        if str(item.get("type")) in _TOOLS:
            self._started_tools.add(str(item.get("id")))
            self._moved_on()
            yield _tool_use(item)
        yield from self._spent_so_far()

    def _item_completed(self, said: Mapping[str, Any]) -> Iterator[AgentEvent]:
        item = _mapping(said.get("item"))
        kind = str(item.get("type"))
        if kind == "agent_message":
            self._moved_on()
            yield _prose(AgentEventKind.TEXT, item.get("text"))
        elif kind == "reasoning":
            self._trouble = ""
            yield _prose(AgentEventKind.THINKING, item.get("text"))
        elif kind == "error":
            yield _prose(AgentEventKind.TEXT, item.get("message"))  # a remark; the turn goes on
        elif kind in _TOOLS:
            self._moved_on()
            if str(item.get("id")) not in self._started_tools:
                yield _tool_use(item)
            yield _tool_result(item)
        yield from self._spent_so_far()

    def _moved_on(self) -> None:
        self._answered = True
        self._offline = 0
        self._trouble = ""

    def _error(self, said: Mapping[str, Any]) -> Iterator[AgentEvent]:
        """Most are not fatal: only `turn.failed` is, and waiting for a network that does not come back."""
        message = str(said.get("message", ""))
        if not message.startswith(_RETRYING):
            yield _prose(AgentEventKind.ERROR, message)
            return
        yield _prose(AgentEventKind.TEXT, message)
        # Told when to ask again, it sleeps until then without another word, be it for hours.
        self._trouble = message.partition("(")[2].removesuffix(")")
        if _OFFLINE in message:
            self._offline += 1
            if self._offline > self._max_retries:
                self._ended = True
                yield from self._spent_so_far()
                text = f"The model's provider is out of reach: {message.partition('(')[2].rstrip(')')}"
                yield _finished(truncate(printable(text), _TEXT_CHARACTERS), Problem.UNAVAILABLE)

    def _turn_completed(self, said: Mapping[str, Any]) -> Iterator[AgentEvent]:
        self._ended = True
        if self._rollout is not None:
            self._rollout.refresh()
        yield from self._usage(spent_of(said.get("usage")))
        if self._answered:
            yield AgentEvent(kind=AgentEventKind.FINISHED, ok=True)
        else:
            yield _finished(_NO_ANSWER, Problem.REFUSED)

    def _turn_failed(self, said: Mapping[str, Any]) -> Iterator[AgentEvent]:
        self._ended = True
        yield from self._spent_so_far()
        yield end_of(str(_mapping(said.get("error")).get("message", "")), self._now())

    def _spent_so_far(self) -> Iterator[AgentEvent]:
        if self._rollout is None:
            return
        self._rollout.refresh()
        if self._rollout.spent is not None:
            yield from self._usage(self._rollout.spent)

    def _usage(self, total: Spent) -> Iterator[AgentEvent]:
        """What is new in these sums; they never shrink, whatever somebody wrote into the file."""
        known = self._counted
        new = {name: max(0, getattr(total, name) - getattr(known, name)) for name in _COUNTERS}
        if not any(new.values()):
            return
        self._counted = Spent(**{name: getattr(known, name) + count for name, count in new.items()})
        model = (self._rollout.model if self._rollout else "") or self._model
        yield AgentEvent(kind=AgentEventKind.USAGE, model=model, conversation=self._thread, **new)


_COUNTERS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")


def _finished(text: str, problem: Problem) -> AgentEvent:
    return AgentEvent(kind=AgentEventKind.FINISHED, ok=False, text=text, problem=problem)


def _tool_use(item: Mapping[str, Any]) -> AgentEvent:
    data: dict[str, Any] = {}
    for name in ("command", "query", "server", "tool", "arguments", "prompt"):
        if item.get(name):
            data[name] = _short(item[name])
    changes = item.get("changes")
    if isinstance(changes, list):
        paths = [f"{_mapping(change).get('kind')} {_mapping(change).get('path')}" for change in changes[:50]]
        data["changes"] = [_short(path) for path in paths]
    return AgentEvent(kind=AgentEventKind.TOOL_USE, text=str(item["type"]), data=data)


def _tool_result(item: Mapping[str, Any]) -> AgentEvent:
    data = {"output": _short(item["aggregated_output"])} if item.get("aggregated_output") else {}
    if isinstance(item.get("exit_code"), int):
        data["exit_code"] = item["exit_code"]
    ok = item.get("status", "completed") == "completed"
    return AgentEvent(kind=AgentEventKind.TOOL_RESULT, text=str(item["type"]), ok=ok, data=data)


def _prose(kind: AgentEventKind, text: object) -> AgentEvent:
    return AgentEvent(kind=kind, text=truncate(printable(str(text or "")), _TEXT_CHARACTERS))


def _short(value: object) -> str:
    return shown(value, _DATA_CHARACTERS)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
