"""Understanding what `opencode run --format json` prints, and what its plugin adds."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from shiftwork.agents import bounds
from shiftwork.agents.events import AgentEvent, AgentEventKind, Problem
from shiftwork.text import printable, truncate

_TEXT_CHARACTERS = 20_000
_PATIENCE = timedelta(minutes=1)
"""A longer wait than this for the provider ends the run; it goes on when the wait is over."""

_MOST_RETRIES = 4
"""More in a row are given up: the program itself would go on for ever."""

_MOST_OVERFLOWS = 3
"""So often in a row it may try to go on with a summary of a conversation that is too long."""

_LIMITED = re.compile(r"\b429\b|too many requests|rate.?limit|(usage|request|token)s? limit", re.IGNORECASE)
_REJECTED = "rejected permission"
_NAMED_PROBLEMS = {
    "ProviderAuthError": Problem.AUTHENTICATION,
    "ContextOverflowError": Problem.LIMIT,
    "MessageOutputLengthError": Problem.LIMIT,
    "ContentFilterError": Problem.REFUSED,
}
_STATUS_PROBLEMS = {401: Problem.AUTHENTICATION, 402: Problem.AUTHENTICATION, 403: Problem.AUTHENTICATION}
_STATUS_PROBLEMS |= {400: Problem.INVALID, 404: Problem.INVALID, 422: Problem.INVALID, 413: Problem.LIMIT}
_PROSE = {"text": AgentEventKind.TEXT, "reasoning": AgentEventKind.THINKING}
_REASON_PROBLEMS = {"length": Problem.LIMIT, "content-filter": Problem.REFUSED}


class OpencodeReader:
    """Reads one run. Its last answer is one when the program ends, or stays idle: it may go on after any."""

    def __init__(self, model: str = "") -> None:
        self._model = model
        self._conversation = ""
        self._reason = ""
        self._rejected = ""
        self._failed: AgentEvent | None = None
        self._summaries: set[str] = set()
        self._retries = 0
        self._overflows = 0
        self._overflowed = False
        self._ended = False

    def read(self, line: bytes) -> Iterable[AgentEvent]:
        """See `Reader.read`."""
        try:
            event = json.loads(line) if line.startswith(b"{") else None
        except (ValueError, RecursionError):  # Not the program's own: its tools' output does not come here.
            return []
        if not isinstance(event, dict) or not isinstance(event.get("sessionID"), str):
            return []
        return list(self._events(event))

    def end(self, exit_status: int) -> Iterable[AgentEvent]:
        """Its answer, if it was whole; a refused permission and a cut answer end it in silence."""
        if self._ended:
            return []
        if self._rejected:
            said = f"The program ended, because it may not use its tool {self._rejected!r} without asking."
            return [_finished(said, Problem.INVALID)]
        if self._failed is not None:
            return [_finished(self._failed.text, self._failed.problem)]
        # It never forgets an overflow, also where it went on after it.
        well = exit_status == 0 or (exit_status == 1 and self._overflowed)
        if not well or self._reason in ("", "tool-calls"):
            return []
        if self._reason == "stop":
            return [_finished(ok=True)]
        said = f"The model's last answer ended early, for the reason {self._reason!r}."
        return [_finished(said, _REASON_PROBLEMS.get(self._reason))]

    def _events(self, event: Mapping[str, Any]) -> Iterator[AgentEvent]:
        kind, session = event.get("type"), event["sessionID"]
        if kind == "shiftwork_summary":
            self._summaries.add(str(event.get("messageID")))
        elif kind == "shiftwork_step":
            self._retries = 0
            if self._conversation and session != self._conversation:
                yield self._usage(_part(event))
        elif kind == "shiftwork_idle":
            yield from self._idle(session)
        else:
            if not self._conversation:
                self._conversation = session
                yield AgentEvent(kind=AgentEventKind.STARTED, conversation=session, model=self._model)
            yield from self._said(str(kind), event)

    def _said(self, kind: str, event: Mapping[str, Any]) -> Iterator[AgentEvent]:
        """What the program prints of its main conversation, and its waits."""
        part = _part(event)
        if kind in _PROSE and not part.get("synthetic"):
            yield AgentEvent(kind=_PROSE[kind], text=_cut(str(part.get("text", ""))))
        match kind:
            case "step_start" if not self._summarises(part):
                self._reason, self._failed = "", None
            case "tool_use":
                yield from self._tool(part)
            case "step_finish":
                yield from self._step(part)
            case "error":
                yield from self._error(_mapping(event.get("error")))
            case "shiftwork_retry":
                yield from self._retry(_mapping(event.get("status")))

    def _idle(self, session: str) -> Iterator[AgentEvent]:
        """It hangs after its work."""
        if session == self._conversation:
            ends = list(self.end(0))
            self._ended = self._ended or bool(ends)
            yield from ends

    def _summarises(self, part: Mapping[str, Any]) -> bool:
        return str(part.get("messageID")) in self._summaries

    def _tool(self, part: Mapping[str, Any]) -> Iterator[AgentEvent]:
        state = _mapping(part.get("state"))
        name, ok = str(part.get("tool", "")), state.get("status") == "completed"
        self._rejected = name if _REJECTED in str(state.get("error", "")) else ""
        told = bounds.shown(state.get("input", {}), _TEXT_CHARACTERS)
        yield AgentEvent(kind=AgentEventKind.TOOL_USE, text=name, data={"input": told})
        said = _cut(str(state.get("output") if ok else state.get("error", "")))
        yield AgentEvent(kind=AgentEventKind.TOOL_RESULT, text=said, ok=ok, data={"tool": name})

    def _step(self, part: Mapping[str, Any]) -> Iterator[AgentEvent]:
        yield self._usage(part)
        self._retries = 0
        if not self._summarises(part):
            self._overflows = 0
            self._reason = str(part.get("reason", ""))

    def _usage(self, part: Mapping[str, Any]) -> AgentEvent:
        tokens = _mapping(part.get("tokens"))
        cache = _mapping(tokens.get("cache"))
        return AgentEvent(
            kind=AgentEventKind.USAGE,
            input_tokens=bounds.tokens(tokens.get("input")),
            output_tokens=bounds.tokens(tokens.get("output")) + bounds.tokens(tokens.get("reasoning")),
            cache_read_tokens=bounds.tokens(cache.get("read")),
            cache_write_tokens=bounds.tokens(cache.get("write")),
            # The program says 0 for a model whose prices it does not know.
            cost_usd=bounds.dollars(part.get("cost")) or None,
            model=self._model,
            conversation=self._conversation,
        )

    def _error(self, error: Mapping[str, Any]) -> Iterator[AgentEvent]:
        name, data = str(error.get("name", "")), _mapping(error.get("data"))
        text = _cut(str(data.get("message") or name or "The program failed, but does not say why."))
        status = data.get("statusCode")
        problem = _problem(name, data)
        if status == 429 and problem is None:
            self._ended = True
            until = _retry_after(_mapping(data.get("responseHeaders")))
            yield AgentEvent(kind=AgentEventKind.ERROR, text=text)
            yield AgentEvent(kind=AgentEventKind.RATE_LIMITED, text=text, until=until)
        elif name == "ContextOverflowError":
            yield from self._overflow(text)
        else:
            self._ended = True
            yield _finished(text, problem)

    def _overflow(self, text: str) -> Iterator[AgentEvent]:
        """The program tries to go on with a summary of the conversation."""
        self._overflowed = True
        self._overflows += 1
        self._reason = ""
        self._failed = AgentEvent(kind=AgentEventKind.ERROR, text=text, problem=Problem.LIMIT)
        yield self._failed
        if self._overflows > _MOST_OVERFLOWS and not self._ended:
            self._ended = True
            yield _finished(text, Problem.LIMIT)

    def _retry(self, status: Mapping[str, Any]) -> Iterator[AgentEvent]:
        said = _cut(str(status.get("message", "")))
        until = bounds.moment(bounds.tokens(status.get("next")) / 1000)
        self._retries += 1
        if self._ended:
            return
        if until is not None and until - datetime.now(UTC) > _PATIENCE:
            self._ended = True
            yield AgentEvent(kind=AgentEventKind.RATE_LIMITED, text=said, until=until)
        elif self._retries > _MOST_RETRIES:
            self._ended = True
            reason = str(_mapping(status.get("action")).get("reason", ""))
            yield _gave_up(said, limited=_LIMITED.search(f"{said} {reason}") is not None)
        else:
            text = f"The provider says {said!r}; trying again."
            yield AgentEvent(kind=AgentEventKind.TEXT, text=text, data={"attempt": status.get("attempt")})


def _gave_up(said: str, *, limited: bool) -> AgentEvent:
    if limited:
        return AgentEvent(kind=AgentEventKind.RATE_LIMITED, text=said)
    text = f"The provider gave no answer in {_MOST_RETRIES + 1} tries: {said}"
    return _finished(text, Problem.UNAVAILABLE)


def _problem(name: str, data: Mapping[str, Any]) -> Problem | None:
    if name in _NAMED_PROBLEMS:
        return _NAMED_PROBLEMS[name]
    if name != "APIError":
        return None
    status = data.get("statusCode")
    if status == 429:
        paid = "insufficient_quota" not in str(data.get("responseBody", ""))
        return None if paid else Problem.AUTHENTICATION
    # Without a status there was no answer at all.
    if not isinstance(status, int) or status >= 500 or status == 408:
        return Problem.UNAVAILABLE
    return _STATUS_PROBLEMS.get(status)


def _retry_after(headers: Mapping[str, Any]) -> datetime | None:
    """When the provider wants to be asked again; None if it does not say."""
    now = datetime.now(UTC)
    for name, unit in (("retry-after-ms", timedelta(milliseconds=1)), ("retry-after", timedelta(seconds=1))):
        try:
            return now + float(str(headers.get(name))) * unit
        except (ValueError, OverflowError):
            continue
    try:
        return parsedate_to_datetime(str(headers.get("retry-after")))
    except ValueError:
        return None


def _finished(text: str = "", problem: Problem | None = None, *, ok: bool = False) -> AgentEvent:
    return AgentEvent(kind=AgentEventKind.FINISHED, text=text, problem=problem, ok=ok)


def _part(event: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping(event.get("part"))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _cut(text: str) -> str:
    return truncate(printable(text), _TEXT_CHARACTERS)
