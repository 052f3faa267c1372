"""What the activities are made of, built once at the composition root."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from activities.orphans import WorkerRecord
from shiftwork.agents.protocol import AgentBackend
from shiftwork.errors import InvalidInput
from shiftwork.repository import PrivateRepository, UserRepository, WorkspacePool
from shiftwork.sandbox.base import Sandbox
from shiftwork.settings import Settings
from shiftwork.store.rows import ProjectRow
from shiftwork.store.store import Store
from shiftwork.verification.setup import SetupCache


@dataclass(frozen=True, slots=True)
class ProjectFolder:
    """The files of one project below the state folder."""

    root: Path

    @property
    def repository(self) -> PrivateRepository:
        """The private bare repository."""
        return PrivateRepository(self.root / "repository.git")

    @property
    def workspaces(self) -> WorkspacePool:
        """The pooled folders that attempts and verifications work in."""
        return WorkspacePool(self.root / "workspaces")

    async def take_back(self, name: str) -> None:
        """Return a workspace that a dead attempt still claims to the pool, if there is one."""
        pool = self.workspaces
        if name in pool.leftovers():
            await pool.reclaim(name).release()

    def attempt_name(self, session: int, attempt: int) -> str:
        """What an attempt's workspace, run folder and candidate are called."""
        return f"s{session}-a{attempt}"

    def home(self, session: int) -> Path:
        """Where agents of a session keep their configuration and conversations, whatever the attempt."""
        return self.root / "homes" / f"s{session}"

    @property
    def runs(self) -> Path:
        """Briefs, outboxes, locks and scratch folders, one folder per attempt."""
        return self.root / "runs"


@dataclass(frozen=True, slots=True)
class Services:
    """Everything an activity needs; no activity makes its own."""

    settings: Settings
    store: Store
    sandbox: Sandbox
    backends: Mapping[str, AgentBackend]
    record: WorkerRecord
    host: str = field(default_factory=socket.gethostname)

    def folder(self, project_id: str) -> ProjectFolder:
        """Where this project's files are."""
        return ProjectFolder(self.settings.projects / project_id)

    def setup_cache(self, project_id: str) -> SetupCache:
        """Results of this project's set-up commands."""
        return SetupCache(self.settings.projects / project_id / "setup", self.sandbox)

    def backend(self, name: str) -> AgentBackend:
        """The backend of that name; raises `InvalidInput` naming the known ones."""
        if name not in self.backends:
            known = ", ".join(sorted(self.backends))
            raise InvalidInput(f"agent backend {name!r} is not known; known are: {known}.")
        return self.backends[name]

    def user_repository(self, project: ProjectRow) -> UserRepository | None:
        """The repository that people see, or None if the project has none."""
        if project.repository is None:
            return None
        return UserRepository(project.repository, project.branch or "main")
