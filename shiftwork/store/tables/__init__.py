"""The tables: `project` (what is to do), `session` (who did what), `record` (its outcome).

`task` has registered agents and their runs, `notice` who is told of their ends, `episode` plays.
"""

from shiftwork.store.tables.base import Base
from shiftwork.store.tables.episode import EpisodeStepTable, EpisodeTable, EvaluationTable
from shiftwork.store.tables.notice import TaskNoticeTable, WebhookTable
from shiftwork.store.tables.project import EventTable, FeatureTable, ProjectStartTable, ProjectTable
from shiftwork.store.tables.record import (
    CheckpointTable,
    DecisionTable,
    EvidenceTable,
    ProgressTable,
    TranscriptTable,
)
from shiftwork.store.tables.request import RequestTable
from shiftwork.store.tables.schedule import ScheduleBackfillTable, ScheduleSkipTable
from shiftwork.store.tables.secret import FingerprintTable
from shiftwork.store.tables.session import (
    LEASE_TOKENS,
    AttemptTable,
    ConversationTable,
    LeaseTable,
    SessionTable,
    UsageTable,
)
from shiftwork.store.tables.task import AgentTable, AgentVersionTable, HandoffTable, TaskTable

__all__ = [
    "LEASE_TOKENS",
    "AgentTable",
    "AgentVersionTable",
    "AttemptTable",
    "Base",
    "CheckpointTable",
    "ConversationTable",
    "DecisionTable",
    "EpisodeStepTable",
    "EpisodeTable",
    "EvaluationTable",
    "EventTable",
    "EvidenceTable",
    "FeatureTable",
    "FingerprintTable",
    "HandoffTable",
    "LeaseTable",
    "ProgressTable",
    "ProjectStartTable",
    "ProjectTable",
    "RequestTable",
    "ScheduleBackfillTable",
    "ScheduleSkipTable",
    "SessionTable",
    "TaskNoticeTable",
    "TaskTable",
    "TranscriptTable",
    "UsageTable",
    "WebhookTable",
]
