"""The tables: `project` (what is to be done), `session` (who did what), `record` (what became of it)."""

from shiftwork.store.tables.base import Base
from shiftwork.store.tables.project import EventTable, FeatureTable, ProjectTable
from shiftwork.store.tables.record import (
    CheckpointTable,
    DecisionTable,
    EvidenceTable,
    ProgressTable,
    TranscriptTable,
)
from shiftwork.store.tables.session import (
    LEASE_TOKENS,
    AttemptTable,
    ConversationTable,
    LeaseTable,
    SessionTable,
    UsageTable,
)

__all__ = [
    "LEASE_TOKENS",
    "AttemptTable",
    "Base",
    "CheckpointTable",
    "ConversationTable",
    "DecisionTable",
    "EventTable",
    "EvidenceTable",
    "FeatureTable",
    "LeaseTable",
    "ProgressTable",
    "ProjectTable",
    "SessionTable",
    "TranscriptTable",
    "UsageTable",
]
