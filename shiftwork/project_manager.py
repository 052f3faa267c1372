"""Projects for people's programs: `ProjectManager`, its synchronous form, and the words they speak."""

from shiftwork.contracts.decision import DecisionOutcome
from shiftwork.contracts.feature import FeatureCategory, FeatureEdit, FeatureSpec, FeatureStatus
from shiftwork.contracts.project import ProjectOptions, ProjectStatus
from shiftwork.contracts.session import Role, SessionPhase
from shiftwork.management.control import ProjectControl, RowControl
from shiftwork.management.git import GitCommit, ProjectGit, UserGit
from shiftwork.management.manager import ProjectManager
from shiftwork.management.sync import SyncProjectManager
from shiftwork.store.rows import DecisionRow as DecisionMemory
from shiftwork.store.rows import FeatureRow as ProjectFeature
from shiftwork.store.rows import ProgressRow as ProgressEntry
from shiftwork.store.rows import ProjectRow as ProjectState
from shiftwork.store.rows import SessionRow as SessionState

__all__ = [
    "DecisionMemory",
    "DecisionOutcome",
    "FeatureCategory",
    "FeatureEdit",
    "FeatureSpec",
    "FeatureStatus",
    "GitCommit",
    "ProgressEntry",
    "ProjectControl",
    "ProjectFeature",
    "ProjectGit",
    "ProjectManager",
    "ProjectOptions",
    "ProjectState",
    "ProjectStatus",
    "Role",
    "RowControl",
    "SessionPhase",
    "SessionState",
    "SyncProjectManager",
    "UserGit",
]
