"""What the end of a run of Claude Code means; judged by its structured fields, never by its prose."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shiftwork.agents.bounds import moment
from shiftwork.agents.events import AgentEvent, AgentEventKind, Problem
from shiftwork.text import truncate

_PROSE = 20_000
_BOUNDS = frozenset(
    {"max_turns", "budget_exhausted", "prompt_too_long", "error_max_turns", "error_max_budget_usd"}
)
_CREDENTIALS = frozenset({"authentication_failed", "oauth_org_not_allowed", "billing_error"})
_OUTAGES = frozenset({"server_error", "overloaded", "connection_failed"})
_LIMIT = "rate_limit"
_CLIENT_TIMEOUT = 408
_TOO_LARGE = 413


@dataclass(slots=True)
class Trouble:
    """What the program said of its trouble with the provider before its `result`.

    Attributes:
        kind: the program's own word, as `rate_limit` or `billing_error`.
        status: of the provider's answer.
        until: when a usage limit ends.
    """

    kind: str = ""
    status: int | None = None
    until: datetime | None = None

    def note(self, said: Mapping[str, Any]) -> None:
        """Remember a message that stands for an error of the provider."""
        self.kind = str(said.get("error") or "")
        status = said.get("api_error_status")
        self.status = status if isinstance(status, int) else None
        given = said.get("api_error_params")
        self.until = (
            limit_reset(given.get("rate_limit_info") if isinstance(given, dict) else None) or self.until
        )


def limit_reset(info: object) -> datetime | None:
    """When the limit that rejected a request ends; None if none did, or it does not say."""
    if not isinstance(info, dict) or info.get("status") != "rejected":
        return None
    return moment(info.get("resetsAt"))


def end_of(result: Mapping[str, Any], trouble: Trouble) -> AgentEvent:
    """The terminal event that a `result` stands for."""
    text = truncate(_said(result), _PROSE)
    refused = result.get("stop_reason") == "refusal"
    if result.get("subtype") == "success" and result.get("is_error") is False and not refused:
        return AgentEvent(kind=AgentEventKind.FINISHED, ok=True, text=text)
    status = result.get("api_error_status") or trouble.status
    if not refused and (status == 429 or trouble.kind == _LIMIT):
        return AgentEvent(kind=AgentEventKind.RATE_LIMITED, text=text, until=trouble.until)
    return AgentEvent(kind=AgentEventKind.FINISHED, text=text, problem=_problem(result, trouble, status))


def _problem(result: Mapping[str, Any], trouble: Trouble, status: object) -> Problem | None:
    words = {trouble.kind, *(str(result.get(name)) for name in ("terminal_reason", "subtype", "api_error"))}
    code = status if isinstance(status, int) else 0
    if result.get("stop_reason") == "refusal":
        return Problem.REFUSED
    if words & _BOUNDS or code == _TOO_LARGE:
        return Problem.LIMIT
    if words & _CREDENTIALS or code in (401, 402, 403):
        return Problem.AUTHENTICATION
    if words & _OUTAGES or code >= 500 or code == _CLIENT_TIMEOUT:
        return Problem.UNAVAILABLE
    return Problem.INVALID if 400 <= code < 500 else None


def _said(result: Mapping[str, Any]) -> str:
    """The result's own words; those of an error are a list."""
    errors = result.get("errors")
    listed = "; ".join(map(str, errors)) if isinstance(errors, list) else ""
    return str(result.get("result") or listed or result.get("subtype") or "")
