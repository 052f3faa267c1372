"""What an agent says while it works, in one vocabulary for every backend."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from shiftwork.agents import bounds
from shiftwork.contracts.base import Message

Prose = Annotated[str, BeforeValidator(bounds.storable)]
Name = Annotated[Prose, AfterValidator(bounds.name)]
Tokens = Annotated[int, AfterValidator(bounds.tokens)]


class AgentEventKind(StrEnum):
    """The kinds of events every backend's output is turned into.

    `finished`, `question` and `rate_limited` are terminal: the agent does nothing more in this run, and is
    ended if it lingers. A backend reports a limit that its agent waits out by itself as `text`. `saved` tells
    that the conversation's file (see `AgentBackend.conversation_file`) has a new state.
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
    SAVED = "saved"
    FINISHED = "finished"


class Problem(StrEnum):
    """Why an agent could not do its work, where that is not the work's own fault.

    The first two cost no attempt: a person, or time, has to help. The others are failures of the agent.
    """

    AUTHENTICATION = "authentication"
    """The provider refuses the credentials, or an account that can't pay."""
    UNAVAILABLE = "unavailable"
    """The provider is overloaded, failing or out of reach, also after the program's own retries."""
    REFUSED = "refused"
    """The model declines the task."""
    LIMIT = "limit"
    """A bound of the program itself: turns, cost, context."""
    INVALID = "invalid"
    """The provider rejects the request: an unknown model, a setting that does not fit."""


class AgentEvent(Message):
    """One event.

    What it holds is bounded, whoever said it: an impossible number counts as not said, a time without a zone
    is one in UTC, and `data` is cut.

    Attributes:
        text: prose, a tool's name, an error's sentence, a question.
        part: of `text`: a part of what is said, as it comes: parts that follow each other are one text.
        ok: of `finished`: whether the agent itself says that it succeeded; of `tool_result`: whether it did.
        until: of `rate_limited`: when work may go on.
        problem: of `finished` and `error`: what kind of trouble it was, if it was of a known kind.
        input_tokens, output_tokens, cache_read_tokens, cache_write_tokens: of `usage`, as deltas since the
            last such event; the first does not include the two others of the prompt's.
        cost_usd: of `usage`: as a delta; None if the program does not know.
        model: of `started` and `usage`: the model, as the provider names it.
        conversation: of `started` and `usage`: the program's own session.
        data: further facts, small.
    """

    kind: AgentEventKind
    text: Prose = ""
    part: bool = False
    ok: bool = False
    until: Annotated[datetime, AfterValidator(bounds.aware)] | None = None
    problem: Problem | None = None
    input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    cache_read_tokens: Tokens = 0
    cache_write_tokens: Tokens = 0
    cost_usd: Annotated[float | None, AfterValidator(bounds.dollars)] = None
    model: Name = ""
    conversation: Name = ""
    data: Annotated[dict[str, Any], AfterValidator(bounds.small)] = {}
