"""What a `python` agent is to do in one run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shiftwork.agents.python.places import OwnFolder
from shiftwork.agents.python.telling import MOST_INSTRUCTION_BYTES, check_code, check_size, told
from shiftwork.contracts.limits import AgentLimits
from shiftwork.contracts.sandbox import SandboxOptions
from shiftwork.errors import InvalidInput
from shiftwork.handoffs.context import HandoffContext
from shiftwork.runner.limits import Limits

TIMEOUT: Final = 300.0
OUTPUT_BYTES: Final = 1024 * 1024


def usual_limits() -> Limits:
    """Those of an agent of which nothing else is said."""
    return Limits(**AgentLimits().model_dump())


@dataclass(frozen=True, slots=True)
class PythonJob:
    """One run of an agent's code.

    Attributes:
        code: the text of the program; at most 1,000,000 bytes.
        parameters: what it finds as `parameters`; at most 256 KiB as JSON.
        handoff: what its last run left, which it finds as `handoff`; None: nothing.
        instruction: what it finds as `instruction`; at most 1,000,000 bytes.
        timeout: seconds it may run; there is no run without one.
        limits: what its processes may use.
        sandbox: what they may touch.
        folder: where it starts, and what it keeps; None: an empty folder, which is removed after it.
        max_output_bytes: so much is kept of standard output (its beginning) and of standard error (its end).

    Raises:
        InvalidInput: it can't be run as it is.
    """

    code: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    handoff: HandoffContext | None = None
    instruction: str = ""
    timeout: float = TIMEOUT
    limits: Limits = field(default_factory=usual_limits)
    sandbox: SandboxOptions = field(default_factory=SandboxOptions)
    max_output_bytes: int = OUTPUT_BYTES
    folder: OwnFolder | None = None

    def __post_init__(self) -> None:
        """Refuse what would fail later, or for ever."""
        check_code(self.code)
        check_size("instruction", self.instruction, MOST_INSTRUCTION_BYTES)
        if not self.timeout or not 0 < self.timeout < float("inf"):
            raise InvalidInput(f"The timeout of a Python agent is {self.timeout!r}; give it some seconds.")
        if self.max_output_bytes < 1:
            raise InvalidInput(f"max_output_bytes is {self.max_output_bytes!r}; it must be at least 1.")

    def told(self) -> bytes:
        """What its interpreter reads.

        Raises:
            InvalidInput: its parameters or its handoff are no JSON, or too large.
        """
        handoff = None if self.handoff is None else json.loads(self.handoff.to_json())
        return told(self.code, self.parameters, handoff, self.instruction)
