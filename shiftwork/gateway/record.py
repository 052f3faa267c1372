"""What is known of the request under way; at its end it becomes a `Call`."""

import time
from dataclasses import dataclass, field
from datetime import datetime

from shiftwork.gateway.call import Call, Outcome
from shiftwork.gateway.metering import Meter


@dataclass(slots=True)
class Record:
    """The request under way; the fields are those of `Call`."""

    started: float = field(default_factory=time.perf_counter)
    kind: str = ""
    target: str = ""
    model: str = ""
    meter: Meter | None = None
    outcome: Outcome = Outcome.ABANDONED
    first_byte: float | None = None
    until: datetime | None = None
    reason: str = ""

    def began(self) -> None:
        """The first byte of the answer is on its way."""
        if self.first_byte is None:
            self.first_byte = time.perf_counter() - self.started

    def call(self, status: int, sent: int, received: int) -> Call:
        """What became of it."""
        if self.meter is not None:
            self.meter.finish()
        return Call(
            kind=self.kind,
            target=self.target,
            model=(self.meter.model if self.meter else "") or self.model,
            **({"tokens": self.meter.tokens} if self.meter else {}),
            status=status,
            outcome=self.outcome,
            duration=time.perf_counter() - self.started,
            first_byte=self.first_byte,
            sent=sent,
            received=received,
            until=self.until,
            reason=self.reason,
        )
