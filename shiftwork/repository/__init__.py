"""Git: the private repository of a project, workspaces, snapshots, landings, and people's repositories."""

from shiftwork.repository.feed import FeedResult
from shiftwork.repository.history import Commit, Landing
from shiftwork.repository.imports import ImportPlan
from shiftwork.repository.inspecting import Description, RepositoryKind, inspect
from shiftwork.repository.limits import SnapshotLimits
from shiftwork.repository.merging import Overlay
from shiftwork.repository.messages import LandingInfo
from shiftwork.repository.objects import TreeEntry
from shiftwork.repository.private import PrivateRepository
from shiftwork.repository.revert import Revert
from shiftwork.repository.snapshot import Snapshot
from shiftwork.repository.user import UserRepository, open_user_repository
from shiftwork.repository.workspace import Workspace, WorkspacePool

__all__ = [
    "Commit",
    "Description",
    "FeedResult",
    "ImportPlan",
    "Landing",
    "LandingInfo",
    "Overlay",
    "PrivateRepository",
    "RepositoryKind",
    "Revert",
    "Snapshot",
    "SnapshotLimits",
    "TreeEntry",
    "UserRepository",
    "Workspace",
    "WorkspacePool",
    "inspect",
    "open_user_repository",
]
