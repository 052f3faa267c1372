"""What people ask of a running project and are answered: each update's name, and what goes there and back.

A client knows a workflow by these alone: it need not import one, nor what a worker needs for it.
"""

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from shiftwork.contracts.bookkeeping import RevertResult
from shiftwork.contracts.feature import FeatureEdit
from shiftwork.contracts.messages import (
    AddFeature,
    Answer,
    CheckpointRequest,
    DecisionFeedback,
    Revert,
    RunSession,
    SetBudget,
    SetFeatureStatus,
)

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


@dataclass(frozen=True, slots=True)
class Update(Generic[Asked, Answered]):
    """An update of the project's workflow.

    Attributes:
        name: as the workflow has it; tests compare all three with the workflow.
    """

    name: str
    asked: type[Asked]
    answered: type[Answered]


ADD_FEATURE: Final = Update("add_feature", AddFeature, int)
EDIT_FEATURE: Final = Update("edit_feature", FeatureEdit, int)
RUN_SESSION: Final = Update("run_session", RunSession, int)
SET_FEATURE_STATUS: Final = Update("set_feature_status", SetFeatureStatus, int)
CHECKPOINT: Final = Update("checkpoint", CheckpointRequest, str)
ANSWER: Final = Update("answer", Answer, int)
SET_BUDGET: Final = Update("set_budget", SetBudget, type(None))
ADD_DECISION_FEEDBACK: Final = Update("add_decision_feedback", DecisionFeedback, type(None))
REVERT_TO_CHECKPOINT: Final = Update("revert_to_checkpoint", Revert, RevertResult)

UPDATES: Final = (
    *(ADD_FEATURE, EDIT_FEATURE, SET_FEATURE_STATUS, RUN_SESSION, ANSWER),
    *(CHECKPOINT, REVERT_TO_CHECKPOINT, SET_BUDGET, ADD_DECISION_FEEDBACK),
)
"""All of them."""
