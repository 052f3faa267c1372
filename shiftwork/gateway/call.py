"""What became of one request, for whoever counts, and for the log."""

import json
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass, replace
from datetime import datetime
from enum import StrEnum


class Outcome(StrEnum):
    """How a request ended."""

    ANSWERED = "answered"
    """By the provider or the listed host, whatever its status was."""
    LIMITED = "limited"
    """The provider's rate or usage limit is reached, or it is overloaded."""
    BUDGET = "budget"
    """Refused: the session's budget is spent."""
    REFUSED = "refused"
    """Refused for another reason; nothing of it left this machine, or not all of it."""
    FAILED = "failed"
    """The provider or host can't be reached, does not answer, or broke off in the middle."""
    ABANDONED = "abandoned"
    """The client went away, stood still, or was ended."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one call, and what else it costs.

    Attributes:
        input: those of the cache are not included.
        cache_write_hour: how many of `cache_write` are kept for an hour, which costs more.
        searches: in the web, by the provider.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_hour: int = 0
    searches: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Attributes:
        kind: `messages`, `chat`, `responses`, `generate`, `embed`, `count_tokens`, `models`, `show`,
            `environment`, `tunnel`, `http`, or empty if it was none of these.
        target: the path, or `host:port`; empty if it was not understood.
        model: as the provider names it, else as the request does.
        requested: the model as the request names it, if that was looked at.
        tokens: as the provider told them; those that it did not tell, of an answer that was begun, are
            guessed.
        status: of the answer; 0 if none was begun.
        outcome: how it ended.
        duration, first_byte: seconds since the request's first byte; None if no answer was begun.
        sent, received: bytes of bodies, as seen by the client.
        until: when the provider's limit ends, if it told.
        reason: why the gateway itself answered; empty if it did not.
        estimated: whether some of the tokens are a guess, since the provider did not tell them.
        beside: what other models took part, at their own prices, and their tokens, which are not in `tokens`.
    """

    kind: str = ""
    target: str = ""
    model: str = ""
    requested: str = ""
    tokens: Tokens = Tokens()
    status: int = 0
    outcome: Outcome = Outcome.ANSWERED
    duration: float = 0.0
    first_byte: float | None = None
    sent: int = 0
    received: int = 0
    until: datetime | None = None
    reason: str = ""
    estimated: bool = False
    beside: tuple[tuple[str, Tokens], ...] = ()

    def parts(self) -> Iterator["Call"]:
        """The call itself, and one for each model beside it."""
        yield replace(self, beside=())
        for model, tokens in self.beside:
            yield replace(self, model=model, requested=model, tokens=tokens, estimated=False, beside=())

    def log_line(self, label: str) -> str:
        """One line of JSON; it holds no header, no query and nothing of a body but the model's name."""
        facts = {"event": "gateway_call", "session": label, **asdict(self)}
        facts |= facts.pop("tokens")
        facts["until"] = self.until.isoformat() if self.until else None
        facts["duration"] = round(self.duration, 4)
        facts["first_byte"] = None if self.first_byte is None else round(self.first_byte, 4)
        return json.dumps({name: value for name, value in facts.items() if value not in ("", None, ())})
