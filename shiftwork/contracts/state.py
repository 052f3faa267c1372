"""The state of a running project: ids, statuses and counters.

It is the one model that survives continue-as-new, and what `load_project` rebuilds from rows and main. Names
of features are in it, as identifiers of one bounded line, so that Temporal's own tools can be read by people;
nothing else that an agent wrote is.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from shiftwork.contracts.base import VERSION
from shiftwork.contracts.feature import FeatureCategory, FeatureStatus
from shiftwork.contracts.project import ProjectOptions, ProjectStatus
from shiftwork.contracts.session import Failure, InterruptionReason, Spent


class State(BaseModel):
    """Base of the mutable models; fields that a newer version added are ignored."""

    model_config = ConfigDict(extra="ignore", validate_assignment=True)


class Rest(State):
    """An agent whose provider takes no work from us now.

    Attributes:
        until: when it may be tried again; None: when a person resumes the project.
        count: how often in a row it was sent away.
        reason: what it was told, where a person has to act.
    """

    until: datetime | None = None
    count: int = 1
    reason: InterruptionReason | None = None


class FeatureState(State):
    """What the workflow knows of a feature.

    Attributes:
        category: what kind of work it is; decides who does it.
        depends_on: ids of the features that must pass first.
        verifiable: whether every verification step has a command.
        judgeable: whether there are steps at all: a verifier may judge those without a command.
        attempts: sessions that cost an attempt since the feature was last lifted out of `blocked`.
        runs: agent runs that reached an end of their own.
        waiting: a question to a person is open.
        kept_commit: work kept from an interrupted session, for the next brief.
        candidate: what an agent finished but nobody verified yet; the next session starts at verification.
    """

    id: int
    name: str
    category: FeatureCategory = FeatureCategory.FUNCTIONAL
    priority: int = 5
    depends_on: tuple[int, ...] = ()
    status: FeatureStatus = FeatureStatus.NOT_STARTED
    verifiable: bool = True
    judgeable: bool = True
    attempts: int = 0
    runs: int = 0
    waiting: bool = False
    blocked_reason: str | None = None
    last_failure: Failure | None = None
    kept_commit: str | None = None
    candidate: str | None = None


class Streak(State):
    """How often the same failure came in a row, across sessions."""

    feature_id: int | None = None
    failure: Failure | None = None
    count: int = 0


class RequestedSession(State):
    """A session that a person asked for, with the number it was promised."""

    number: int
    feature_id: int | None = None


class ProjectState(State):
    """Control state of a project.

    Attributes:
        revision: increases with every change that reaches the rows.
        sessions: the highest session number given out; planning is session 0.
        sessions_since_resume: what `max_sessions` is compared with.
        not_before: when a session may start, if every agent that could do one rests.
        resting: agents that rest, by `planning.casting.key`.
        people_commit: tip of the people's branch that main does not contain yet.
        prepared: whether the private repository could be made; if not, it is tried again on resume.
    """

    version: int = VERSION
    project_id: str
    name: str
    status: ProjectStatus = ProjectStatus.INITIALIZING
    reason: str = ""
    options: ProjectOptions = ProjectOptions()
    revision: int = 0
    features: list[FeatureState] = []
    sessions: int = -1
    sessions_since_resume: int = 0
    plan_attempts: int = 0
    plan_runs: int = 0
    plan_kept: str | None = None
    requested: list[RequestedSession] = []
    streak: Streak = Streak()
    not_before: datetime | None = None
    resting: dict[str, Rest] = {}
    spent: Spent = Spent()
    people_commit: str | None = None
    prepared: bool = True

    def feature(self, feature_id: int) -> FeatureState:
        """The feature of that id; KeyError if there is none."""
        for feature in self.features:
            if feature.id == feature_id:
                return feature
        raise KeyError(feature_id)

    def count(self, status: FeatureStatus) -> int:
        """How many features have that status."""
        return sum(f.status is status for f in self.features)
