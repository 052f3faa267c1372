"""What an agent says while it works, in one vocabulary for every backend."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from shiftwork.contracts.base import Message


class AgentEventKind(StrEnum):
    """The kinds of events every backend's output is turned into.

    `finished`, `question` and `rate_limited` are terminal: the agent does nothing more in this run, and is
    ended if it lingers. A backend reports a limit that its agent waits out by itself as `text`.
    """

    STARTED = "started"
    TEXT = "text"
    THINKING = "thinking"
    TOOL_USE = "tool_use"
    TOOL_RESULT = "tool_result"
    USAGE = "usage"
    RATE_LIMITED = "rate_limited"
    QUESTION = "question"
    ERROR = "error"
    FINISHED = "finished"


class AgentEvent(Message):
    """One event.

    Attributes:
        text: prose, a tool's name, an error's sentence, a question.
        ok: of `finished`: whether the agent itself says that it succeeded.
        until: of `rate_limited`: when work may go on.
        input_tokens, output_tokens, cost_usd: of `usage`, as deltas since the last such event.
        data: further facts, small.
    """

    kind: AgentEventKind
    text: str = ""
    ok: bool = False
    until: datetime | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    data: dict[str, Any] = {}
