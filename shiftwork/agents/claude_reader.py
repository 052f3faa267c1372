"""Understanding what Claude Code prints: one JSON event a line, the last of them `result`."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from shiftwork.agents.bounds import shown
from shiftwork.agents.claude_errors import Trouble, end_of, limit_reset
from shiftwork.agents.claude_usage import ClaudeUsage
from shiftwork.agents.events import AgentEvent, AgentEventKind, Problem
from shiftwork.agents.protocol import Conversation
from shiftwork.text import truncate

_PROSE = 20_000
_DETAIL = 2_000
_REFUSED_CREDENTIALS = (401, 403)


class ClaudeReader:
    """Reads one run of `claude -p --output-format stream-json --verbose`."""

    def __init__(self, conversation: Conversation | None = None) -> None:
        self._usage = ClaudeUsage(conversation)
        self._trouble = Trouble()
        self._session = ""
        self._started = False
        self._over = False
        self._handlers = {
            "system": self._system,
            "assistant": self._assistant,
            "user": self._user,
            "rate_limit_event": self._limit,
            "result": self._result,
        }

    def read(self, line: bytes) -> Iterable[AgentEvent]:
        """See `Reader.read`."""
        if not line.startswith(b"{"):
            return ()
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            return ()  # Cut at the bound of a line, or nested without sense.
        handler = self._handlers.get(str(said.get("type")))
        self._session = str(said.get("session_id") or self._session)
        return () if handler is None else tuple(handler(said))

    def end(self, exit_status: int) -> Iterable[AgentEvent]:  # noqa: ARG002 - part of the protocol
        """Nothing: without its `result` the program has not finished."""
        return ()

    def _system(self, said: Mapping[str, Any]) -> Iterator[AgentEvent]:
        match said.get("subtype"):
            case "init" if not self._started:
                self._started = True
                yield AgentEvent(
                    kind=AgentEventKind.STARTED,
                    model=str(said.get("model") or ""),
                    conversation=self._session,
                    data={
                        "version": said.get("claude_code_version"),
                        "permissions": said.get("permissionMode"),
                    },
                )
            case "api_retry":
                yield from self._retry(said)

    def _retry(self, said: Mapping[str, Any]) -> Iterator[AgentEvent]:
        """The program tries again by itself; credentials that were refused twice stay refused."""
        status = said.get("error_status")
        what = f"status {status}" if status else "no answer"
        attempt = said.get("attempt")
        if status in _REFUSED_CREDENTIALS and isinstance(attempt, int) and attempt > 1 and not self._over:
            self._over = True
            text = f"The provider refuses the credentials (status {status})."
            yield AgentEvent(kind=AgentEventKind.FINISHED, text=text, problem=Problem.AUTHENTICATION)
            return
        text = (
            f"The provider gave {what} ({said.get('error')}); retry {attempt} of {said.get('max_retries')}."
        )
        yield AgentEvent(kind=AgentEventKind.TEXT, text=text)

    def _limit(self, said: Mapping[str, Any]) -> Iterator[AgentEvent]:
        """A usage limit; whether it ends the run is for `result` to say."""
        self._trouble.until = limit_reset(said.get("rate_limit_info")) or self._trouble.until
        return iter(())

    def _assistant(self, said: Mapping[str, Any]) -> Iterator[AgentEvent]:
        message = _mapping(said.get("message"))
        if said.get("is_api_error_message"):
            # A sub-agent's trouble is its parent's to deal with; the text comes again with `result`.
            if not said.get("parent_tool_use_id"):
                self._trouble.note(said)
            return
        for block in _blocks(message):
            yield from _spoken(block)
        yield from self._usage.live(message, self._session)

    def _user(self, said: Mapping[str, Any]) -> Iterator[AgentEvent]:
        for block in _blocks(_mapping(said.get("message"))):
            if block.get("type") == "tool_result":
                yield AgentEvent(
                    kind=AgentEventKind.TOOL_RESULT,
                    text=truncate(_text(block.get("content")), _DETAIL),
                    ok=not block.get("is_error"),
                )

    def _result(self, said: Mapping[str, Any]) -> Iterator[AgentEvent]:
        yield from self._usage.rest(said, self._session)
        if self._over:
            return
        self._over = True
        yield end_of(said, self._trouble)


def _spoken(block: Mapping[str, Any]) -> Iterator[AgentEvent]:
    match block.get("type"):
        case "text":
            yield AgentEvent(kind=AgentEventKind.TEXT, text=truncate(str(block.get("text", "")), _PROSE))
        case "thinking":
            thought = truncate(str(block.get("thinking", "")), _PROSE)
            yield AgentEvent(kind=AgentEventKind.THINKING, text=thought)
        case "tool_use":
            given = _mapping(block.get("input"))
            yield AgentEvent(
                kind=AgentEventKind.TOOL_USE,
                text=str(block.get("name", "")),
                data={name: shown(value, _DETAIL) for name, value in given.items()},
            )


def _text(content: object) -> str:
    if isinstance(content, list):
        return "\n".join(str(_mapping(block).get("text", "")) for block in content)
    return "" if content is None else str(content)


def _blocks(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = message.get("content")
    return [_mapping(block) for block in content] if isinstance(content, list) else []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
