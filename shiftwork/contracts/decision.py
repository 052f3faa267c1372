"""Decisions and what became of them."""

from enum import StrEnum


class DecisionOutcome(StrEnum):
    """What became of a decision."""

    SUCCESS = "success"
    PARTIAL = "partial"
    FAILURE = "failure"
    REVERTED = "reverted"
