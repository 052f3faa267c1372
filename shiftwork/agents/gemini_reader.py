"""Understanding what `gemini -o stream-json` prints."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from shiftwork.agents import bounds
from shiftwork.agents.events import AgentEvent, AgentEventKind, Problem
from shiftwork.text import printable, truncate

_TEXT_CHARACTERS = 20_000
_CODE = re.compile(r'"code"\s*:\s*(\d{3})|status:? (\d{3})')
_PROBLEMS = {
    400: Problem.INVALID,
    401: Problem.AUTHENTICATION,
    403: Problem.AUTHENTICATION,
    404: Problem.INVALID,
    408: Problem.UNAVAILABLE,
}
_TYPES = {
    "FatalAuthenticationError": Problem.AUTHENTICATION,
    "FatalTurnLimitedError": Problem.LIMIT,
    "FatalInputError": Problem.INVALID,
}
_OUT_OF_REACH = ("fetch failed", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENOTFOUND", "socket hang up")
_STATUSES = {41: Problem.AUTHENTICATION, 42: Problem.INVALID, 53: Problem.LIMIT}
"""Exit statuses with which the program ends before it says anything."""


class GeminiReader:
    """Reads one run; `result` is its end, and holds what all of it used up."""

    def __init__(self) -> None:
        self._conversation = ""
        self._model = ""
        self._ended = False

    def read(self, line: bytes) -> Iterable[AgentEvent]:
        """See `Reader.read`."""
        try:
            event = json.loads(line) if line.startswith(b"{") else None
        except (ValueError, RecursionError):  # Not the program's own.
            return []
        return list(self._events(event)) if isinstance(event, dict) else []

    def end(self, exit_status: int) -> Iterable[AgentEvent]:
        """Refused settings end the program with nothing but its exit status."""
        problem = _STATUSES.get(exit_status)
        if self._ended or self._conversation or problem is None:
            return []
        said = {
            Problem.AUTHENTICATION: "gemini has no way to authenticate: set the variable 'GEMINI_API_KEY'.",
            Problem.INVALID: "gemini does not accept how it was started: look at its settings.",
            Problem.LIMIT: "gemini reached its limit of turns.",
        }
        return [AgentEvent(kind=AgentEventKind.FINISHED, text=said[problem], problem=problem)]

    def _events(self, event: Mapping[str, Any]) -> Iterator[AgentEvent]:
        match event.get("type"):
            case "init":
                self._conversation, self._model = str(event.get("session_id")), str(event.get("model", ""))
                yield AgentEvent(
                    kind=AgentEventKind.STARTED, conversation=self._conversation, model=self._model
                )
            case "message" if event.get("role") == "assistant":
                part = event.get("delta") is True
                yield AgentEvent(kind=AgentEventKind.TEXT, text=_cut(event.get("content")), part=part)
            case "tool_use":
                told = bounds.shown(event.get("parameters", {}), _TEXT_CHARACTERS)
                name = str(event.get("tool_name", ""))
                yield AgentEvent(kind=AgentEventKind.TOOL_USE, text=name, data={"input": told})
            case "tool_result":
                said = event.get("output") or _mapping(event.get("error")).get("message")
                ok = event.get("status") == "success"
                yield AgentEvent(kind=AgentEventKind.TOOL_RESULT, text=_cut(said), ok=ok)
            case "error":
                yield AgentEvent(kind=AgentEventKind.ERROR, text=_cut(event.get("message")))
            case "result":
                yield from self._result(event)

    def _result(self, event: Mapping[str, Any]) -> Iterator[AgentEvent]:
        self._ended = True
        yield from self._usage(_mapping(event.get("stats")))
        if event.get("status") == "success":
            yield AgentEvent(kind=AgentEventKind.FINISHED, ok=True)
            return
        error = _mapping(event.get("error"))
        text = _cut(error.get("message") or "The program failed, but does not say why.")
        code = _code(text)
        if code == 429:
            yield AgentEvent(kind=AgentEventKind.ERROR, text=text)
            yield AgentEvent(kind=AgentEventKind.RATE_LIMITED, text=text)
            return
        problem = _TYPES.get(str(error.get("type"))) or _problem(code, text)
        yield AgentEvent(kind=AgentEventKind.FINISHED, text=text, problem=problem)

    def _usage(self, stats: Mapping[str, Any]) -> Iterator[AgentEvent]:
        for model, used in _mapping(stats.get("models")).items():
            counts = _mapping(used)
            if not bounds.tokens(counts.get("total_tokens")):
                continue
            cached, prompt = bounds.tokens(counts.get("cached")), bounds.tokens(counts.get("input_tokens"))
            yield AgentEvent(
                kind=AgentEventKind.USAGE,
                input_tokens=max(0, prompt - cached),
                # Thoughts are in the total alone, and are paid for like answers.
                output_tokens=max(
                    bounds.tokens(counts.get("output_tokens")), bounds.tokens(counts["total_tokens"]) - prompt
                ),
                cache_read_tokens=cached,
                model=model,
                conversation=self._conversation,
            )


def _code(text: str) -> int | None:
    """The HTTP status in the provider's own error, which the program hands on as text."""
    found = _CODE.search(text)
    return int(found[1] or found[2]) if found else None


def _problem(code: int | None, text: str) -> Problem | None:
    if code is None:
        return Problem.UNAVAILABLE if any(word in text for word in _OUT_OF_REACH) else None
    if "API_KEY_INVALID" in text or "API key not valid" in text:
        return Problem.AUTHENTICATION
    return Problem.UNAVAILABLE if code >= 500 else _PROBLEMS.get(code)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _cut(text: object) -> str:
    return truncate(printable(str(text or "")), _TEXT_CHARACTERS)
