"""What the activities are made of, built once at the composition root."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from activities.orphans import WorkerRecord
from activities.purse import Purses
from shiftwork.agents.protocol import AgentBackend
from shiftwork.codec.sealing import Seal
from shiftwork.contracts.limits import AgentLimits
from shiftwork.contracts.project import ProjectOptions
from shiftwork.contracts.sandbox import Profile, SandboxOptions
from shiftwork.errors import InvalidInput
from shiftwork.gateway import Gateway
from shiftwork.repository import PrivateRepository, UserRepository, WorkspacePool
from shiftwork.runner.limits import Limits
from shiftwork.sandbox.base import Sandbox
from shiftwork.sandbox.levels import level_named
from shiftwork.sandbox.user import can_change_user, choose_user
from shiftwork.secrets import AddedSecrets, Allowed, LazyRedactor
from shiftwork.settings import Settings
from shiftwork.stack.private import private_folder
from shiftwork.store.rows import ProjectRow
from shiftwork.store.store import Store
from shiftwork.verification.setup import SetupCache
from shiftwork.verification.shell import Shell


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
        """The pooled folders that attempts work in; those to judge in are new each time."""
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


def _setup_hosts(options: ProjectOptions) -> tuple[str, ...]:
    """What set-up may reach: a plan's commands are an agent's, and would be its way out."""
    listed = options.sandbox.setup_hosts
    if listed is not None:
        return listed
    return () if options.setup_is_planned else ("*",)


@dataclass(frozen=True, slots=True)
class Services:
    """Everything an activity needs; no activity makes its own."""

    settings: Settings
    store: Store
    sandbox: Sandbox
    backends: Mapping[str, AgentBackend]
    record: WorkerRecord
    gateway: Gateway
    redactor: LazyRedactor
    purses: Purses = field(default_factory=Purses)
    seal: Seal = field(default_factory=lambda: Seal(None))
    host: str = field(default_factory=socket.gethostname)

    def folder(self, project_id: str) -> ProjectFolder:
        """Where this project's files are."""
        return ProjectFolder(self.settings.projects / project_id)

    def enclose(self, project: ProjectRow) -> None:
        """Make the project's folder, which only we can enter, and where they must the user of its agents.

        Who sees folders under other names needs no way to them. Other users are kept out even if the state
        folder, which people may have made, lets them in.
        """
        folder, user = self.folder(project.id).root, self.user(project)
        self._enclose(self.settings.projects, folder, user)

    def enclose_task(self, folder: Path, user: int | None) -> None:
        """The same for the folder of one attempt at a task."""
        self._enclose(self.settings.tasks, folder, user)

    def enclose_kept(self, folder: Path, user: int | None) -> None:
        """The same for the folder that an agent keeps."""
        self._enclose(self.settings.agents, folder, user)

    def enclose_tasks(self) -> None:
        """Make the folder of all attempts at tasks, which only we can enter, or also pass where they must."""
        private_folder(self.settings.tasks, self._mode_above)

    @property
    def _by_path(self) -> bool:
        """Whether agents go to their folders by the names that these have here."""
        return not self.sandbox.moves_binds and can_change_user(namespaces=self.sandbox.own_network)

    @property
    def _mode_above(self) -> int:
        return 0o711 if self._by_path else 0o700

    def _enclose(self, above: Path, folder: Path, user: int | None) -> None:
        private_folder(above, self._mode_above)
        if user is None or not self._by_path:
            private_folder(folder)
        else:
            private_folder(folder, 0o710)
            os.chown(folder, -1, user)

    def user(self, project: ProjectRow) -> int | None:
        """Who the project's agents and commands run as; None: our own user.

        One for all workspaces of a project: what one leaves, the next can use without changing hands.
        """
        return self.user_at(self.settings.projects / project.id, project.options.sandbox)

    def user_at(self, place: Path, options: SandboxOptions) -> int | None:
        """Who runs what is at home in this place; None: our own user."""
        confines = "files" in level_named(self.sandbox.level).confines
        if options.profile is Profile.OPEN or not confines:
            return None
        return choose_user(place, namespaces=self.sandbox.own_network)

    def held_by(self, options: SandboxOptions) -> str:
        """What confines agents with these options: the level of the sandbox, or `open`."""
        return Profile.OPEN.value if options.profile is Profile.OPEN else self.sandbox.level

    def shell(self, project: ProjectRow) -> Shell:
        """What runs this project's verification steps."""
        sandbox = project.options.sandbox
        return self._shell(project, sandbox.hosts if sandbox.profile is Profile.NETWORKED else ())

    def guard(self, project: ProjectRow) -> AddedSecrets:
        """What keeps secrets out of one snapshot of this project."""
        return AddedSecrets(self.redactor.redactor, Allowed(project.options.secrets_allowed_in))

    def setup_cache(self, project: ProjectRow) -> SetupCache:
        """Results of this project's set-up commands."""
        shell = self._shell(project, _setup_hosts(project.options))
        return SetupCache(self.settings.projects / project.id / "setup", shell)

    def limits(self, project: ProjectRow) -> Limits:
        """What the processes of one agent or command may use on this machine."""
        return self.limits_of(project.options.limits)

    def limits_of(self, given: AgentLimits) -> Limits:
        """The same, of what somebody allows."""
        limits = Limits(**given.model_dump())
        if limits.memory_mb is None:
            limits = replace(limits, memory_mb=0.8 * psutil.virtual_memory().total / 1_000_000)
        return limits

    def _shell(self, project: ProjectRow, hosts: tuple[str, ...]) -> Shell:
        return Shell(
            self.sandbox,
            project.options.sandbox,
            gateway=self.gateway,
            hosts=hosts,
            user=self.user(project),
            limits=self.limits(project),
            redact=self.redactor.redact,
        )

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
