"""Arguments and results of activities: ids, statuses and counters, never what an agent wrote."""

from datetime import datetime

from shiftwork.contracts.base import Message
from shiftwork.contracts.session import Failure, Interruption, Role, RunStatus, Spent

MAIN = "main"
"""The candidate that is main itself."""


class RunRequest(Message):
    """Run one agent for one session.

    Attributes:
        agent: which of those that can play the role does (see `planning.casting.key`); '' the first.
        run: how many runs of this feature reached an end of their own before; the scripted agent plays the
            entry of that index.
        kept_commit: work kept from an interrupted session of this feature, shown in the brief.
        revision: the revision under which the feature becomes `in_progress` in the rows.
    """

    project_id: str
    session: int
    started_at: datetime
    role: Role = Role.SESSION
    agent: str = ""
    feature_id: int | None = None
    run: int = 0
    kept_commit: str | None = None
    revision: int = 0


class AgentProgress(Message):
    """What the heartbeats of a running agent carry: counters, and nothing that it wrote."""

    events: int = 0
    tools: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    last: str = ""
    """The kind of its last event."""


class RunResult(Message):
    """How the agent ended. `base` is the commit it started from, `candidate` what it left."""

    attempt: int
    status: RunStatus
    base: str
    candidate: str | None = None
    failure: Failure | None = None
    interruption: Interruption | None = None
    ended_by_itself: bool = True
    spent: Spent = Spent()


class VerifyRequest(Message):
    """Verify a candidate on the tip of main; `feature_id` None verifies only what already passes.

    `candidate` may be `MAIN`: what is on main already, which a person wants verified.
    """

    project_id: str
    session: int
    started_at: datetime
    candidate: str
    feature_id: int | None = None
    round: int = 1
    """Counts up when main moved in between, so that each round has evidence of its own."""


class VerifyResult(Message):
    """`landing` is what would become main if `base` still is its tip; None when verification failed.

    Attributes:
        judge: the feature has steps that no command decides; somebody has to judge them.
    """

    base: str
    landing: str | None = None
    failure: Failure | None = None
    regressed: tuple[int, ...] = ()
    """Features that pass in the rows but fail on `base` too, through no fault of the candidate."""
    judge: bool = False


class JudgeRequest(Message):
    """Have a verifier judge the steps of a landing that no command decides.

    Attributes:
        agent: which of those that can play the role does; '' the first.
        judged: the attempt in which they were judged on an earlier landing of this session: its evidence is
            executed again, and only if that fails the verifier is asked again.
        round: which verification of the session this belongs to.
    """

    project_id: str
    session: int
    started_at: datetime
    feature_id: int
    landing: str
    agent: str = ""
    judged: int | None = None
    round: int = 1


class JudgeResult(Message):
    """`attempt`: whose evidence held; None: there is a failure, or the verifier was interrupted."""

    attempt: int | None = None
    failure: Failure | None = None
    interruption: Interruption | None = None
    spent: Spent = Spent()


class IntegrateRequest(Message):
    """Move main from `base` to `landing`, exactly once."""

    project_id: str
    session: int
    base: str
    landing: str


class IntegrateResult(Message):
    """`landed` is the session's commit on main; None when main moved: verify the candidate again."""

    landed: str | None = None
