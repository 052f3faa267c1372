"""What people send to a running project: signals and updates."""

from typing import Annotated

from pydantic import Field, JsonValue

from shiftwork.contracts.base import Message, Text
from shiftwork.contracts.decision import DecisionOutcome
from shiftwork.contracts.feature import FeatureSpec, FeatureStatus
from shiftwork.contracts.project import AgentPlace, PauseMode


class PauseRequest(Message):
    """Pause after the running sessions, or at once with their work kept."""

    mode: PauseMode = "after_session"
    reason: Text = ""
    actor: str = ""


class ResumeRequest(AgentPlace):
    """Go on; `max_sessions` and `autorun` replace those options when given.

    Attributes:
        agent_settings: settings of the agent at this place from now on, over those that it has; one that is
            None goes.
    """

    max_sessions: Annotated[int, Field(ge=1)] | None = None
    autorun: bool | None = None
    agent_settings: dict[str, JsonValue] = {}
    actor: str = ""


class AbandonRequest(Message):
    """End the project for good; the reason is kept and shown."""

    reason: Text = ""
    actor: str = ""


class SteerRequest(Message):
    """Guidance for the sessions to come, of one feature or of all."""

    text: Annotated[Text, Field(min_length=1)]
    feature: str | None = None
    actor: str = ""


class AddFeature(Message):
    """A feature a person adds."""

    feature: FeatureSpec
    actor: str = ""


class RunSession(Message):
    """One session now: of this feature (name or id), or of the one that is next."""

    feature: str | None = None
    actor: str = ""


class SetFeatureStatus(Message):
    """A status that a person gives a feature; `passing` asks for verification of what is on main."""

    feature: str
    status: FeatureStatus
    reason: Text = ""
    actor: str = ""


class CheckpointRequest(Message):
    """Make the tip of main a checkpoint, with what passes there; `passing` is filled in by the workflow."""

    project_id: str = ""
    passing: tuple[int, ...] = ()
    note: Text = ""
    actor: str = ""


class Answer(Message):
    """The answer to a feature's question."""

    feature: str
    text: Annotated[Text, Field(min_length=1)]
    actor: str = ""


class Revert(Message):
    """Take main back to a checkpoint, forward in history. `consent`: commits of people may be undone."""

    commit: Annotated[str, Field(min_length=4, max_length=64)]
    consent: bool = False
    actor: str = ""


class DecisionFeedback(Message):
    """What became of a decision; the score is clamped to −1…1; None keeps the one that a person gave."""

    decision_id: int
    outcome: DecisionOutcome
    score: float | None = None
    lesson: Text = ""
    actor: str = ""


class SetBudget(Message):
    """What the project may cost in US dollars; None: no limit."""

    budget_usd: Annotated[float, Field(ge=0)] | None = None
    actor: str = ""
