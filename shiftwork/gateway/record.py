"""What is known of the request under way; at its end it becomes a `Call`."""

import time
from dataclasses import dataclass, field
from datetime import datetime

from shiftwork.gateway.call import Call, Outcome, Tokens
from shiftwork.gateway.metering import Meter, guess


@dataclass(slots=True)
class Record:
    """The request under way; the fields are those of `Call`, and these.

    Attributes:
        asked: whether a question that costs has left for the provider as a whole.
        answered: the status of the provider's own answer; 0 before it begins.
        told: whether it was reported already.
    """

    started: float = field(default_factory=time.perf_counter)
    kind: str = ""
    target: str = ""
    model: str = ""
    meter: Meter | None = None
    outcome: Outcome = Outcome.ABANDONED
    first_byte: float | None = None
    until: datetime | None = None
    reason: str = ""
    asked: bool = False
    answered: int = 0
    told: bool = False

    def began(self) -> None:
        """The first byte of the answer is on its way."""
        if self.first_byte is None:
            self.first_byte = time.perf_counter() - self.started

    def call(self, status: int, sent: int, received: int) -> Call:
        """What became of it."""
        tokens, estimated = self._tokens(received)
        more = dict(self.meter.beside) if self.meter else {}
        tokens += more.pop("", Tokens())
        return Call(
            kind=self.kind,
            target=self.target,
            model=(self.meter.model if self.meter else "") or self.model,
            requested=self.model,
            tokens=tokens,
            status=status,
            outcome=self.outcome,
            duration=time.perf_counter() - self.started,
            first_byte=self.first_byte,
            sent=sent,
            received=received,
            until=self.until,
            reason=self.reason,
            estimated=estimated,
            beside=tuple(more.items()),
        )

    def _tokens(self, received: int) -> tuple[Tokens, bool]:
        """What it cost, and whether that is a guess; a refusal of the provider's costs nothing."""
        told = self.meter.tokens if self.meter else Tokens()
        costs = self.answered < 300 if self.meter else self.outcome is Outcome.ABANDONED
        if not self.asked or not costs:
            return told, False
        best = self.meter.estimate(received) if self.meter else Tokens(guess(received))
        return best, best != told
