"""Sessions: roles, phases, how a run ends, and what fails."""

from datetime import datetime
from enum import StrEnum

from shiftwork.contracts.base import Message


class Role(StrEnum):
    """What an agent is asked to be."""

    INITIALIZER = "initializer"
    SESSION = "session"
    RESEARCH = "research"
    TESTING = "testing"
    DOCUMENTATION = "documentation"
    VERIFIER = "verifier"


class SessionPhase(StrEnum):
    """Where in its work a session is."""

    ORIENTATION = "orientation"
    PLANNING = "planning"
    IMPLEMENTATION = "implementation"
    VERIFICATION = "verification"
    CLEANUP = "cleanup"


class FailureKind(StrEnum):
    """Why an attempt failed; each of these costs the feature one attempt."""

    AGENT_FAILED = "agent_failed"
    """The agent itself said that it failed."""
    AGENT_CRASHED = "agent_crashed"
    """The agent ended without saying anything: killed, crashed, or exited without its terminal event."""
    AGENT_TIMEOUT = "agent_timeout"
    """Its time was over, or it stood still: no output and no work of its processes."""
    AGENT_LIMIT = "agent_limit"
    """It went beyond a limit of the harness (memory, processes, …), or of its own (turns, context)."""
    AGENT_REFUSED = "agent_refused"
    """The model declined the task."""
    PLAN_INVALID = "plan_invalid"
    SNAPSHOT_REFUSED = "snapshot_refused"
    MERGE_CONFLICT = "merge_conflict"
    SETUP_FAILED = "setup_failed"
    STEP_FAILED = "step_failed"
    STEP_TIMEOUT = "step_timeout"
    NO_COMMAND = "no_command"
    VETOED = "vetoed"
    """The verifier found a step that has no command not fulfilled, or could not show that it is."""
    BROKE_FEATURE = "broke_feature"


class Failure(Message):
    """What failed, in identifiers alone; what the agent or the step printed is in the database.

    Attributes:
        step: index of the verification step, or None.
        exit_status: of the step or the agent, or None.
        features: ids of the passing features that the candidate broke.
    """

    kind: FailureKind
    step: int | None = None
    exit_status: int | None = None
    features: tuple[int, ...] = ()


class InterruptionReason(StrEnum):
    """Why a session ended without it costing an attempt."""

    PAUSED = "paused"
    ABANDONED = "abandoned"
    REVERTING = "reverting"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    """The model's provider is overloaded or out of reach; tried again by itself."""
    AUTHENTICATION = "authentication"
    """The model's provider refuses the credentials; a person has to help."""
    REJECTED = "rejected"
    """The model's provider accepts no request, as for a model that it does not know; a person has to help."""
    BUDGET = "budget"
    QUESTION = "question"
    WORKER_STOPPED = "worker_stopped"
    WORKER_LOST = "worker_lost"
    """The worker died again and again while the agent worked."""
    VERIFIER = "verifier"
    """The verifier gave no verdict that can be read; a person has to help."""
    INFRASTRUCTURE = "infrastructure"


class Interruption(Message):
    """Why a session was interrupted, until when at least, and the work kept from it."""

    reason: InterruptionReason
    until: datetime | None = None
    kept_commit: str | None = None


class RunStatus(StrEnum):
    """How one execution of an agent ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class Spent(Message):
    """What an attempt cost; tokens of the prompt that came from or went to a cache are counted apart."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        """Both together."""
        mine, theirs = self.model_dump(), other.model_dump()
        return Spent(**{name: value + theirs[name] for name, value in mine.items()})
