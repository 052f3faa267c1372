"""Decisions and what became of them."""

from enum import StrEnum

from shiftwork.contracts.base import Message


class DecisionOutcome(StrEnum):
    """What became of a decision."""

    SUCCESS = "success"
    PARTIAL = "partial"
    FAILURE = "failure"
    REVERTED = "reverted"


class Judge(StrEnum):
    """Who said what became of a decision, or gave its lesson."""

    PERSON = "person"
    HARNESS = "harness"


class Judgement(Message):
    """What the harness makes of a decision by itself; `score` from -1 to 1."""

    outcome: DecisionOutcome
    score: float
    lesson: str | None = None


LANDED_SCORE = 0.5
"""Its session's work landed. Not 1: that the work passes says little of each single choice in it."""
FAILED_SCORE = -0.5
"""Its session's work failed, or its feature was blocked. Not -1, for the same reason."""
REVERTED_SCORE = -0.25
"""A person took its landing back, with everything after a checkpoint, good or bad."""
