"""One execution of a session's agent: workspace, brief, process, snapshot, outbox."""

import asyncio
from pathlib import Path

from activities.beginning import begin_attempt
from activities.conversations import forget_copy
from activities.ending import AttemptRows, Ending
from activities.folders import Folders
from activities.inheritance import inherit, leaves_conversation
from activities.launching import AgentLaunch, Launched
from activities.lease import LeaseKeeper
from activities.predecessors import Predecessors, Resumption
from activities.services import Services
from activities.stop import Stop
from shiftwork.agents.outbox import read_outbox
from shiftwork.contracts.activity import AgentProgress, RunRequest, RunResult
from shiftwork.contracts.outbox import Outbox
from shiftwork.contracts.session import FailureKind, InterruptionReason, Role
from shiftwork.errors import RepositoryError
from shiftwork.handoffs.sessions import with_fitting_handoff
from shiftwork.repository import Workspace
from shiftwork.repository.files import remove_tree
from shiftwork.verification.setup import SetupFailed

_CRASHES = 2
"""How often in one session an agent that crashed goes on with its conversation; then it has failed."""


class AgentRun:
    """One attempt. Fenced by its lease: once superseded, it ends its agent and writes nothing."""

    def __init__(self, services: Services, request: RunRequest, stop: Stop) -> None:
        self._services = services
        self._request = request
        self._stop = stop
        self._folder = services.folder(request.project_id)
        self._launch: AgentLaunch | None = None
        self._may_crash = False

    def progress(self) -> AgentProgress:
        """How far the agent is, in figures."""
        return self._launch.progress if self._launch else AgentProgress()

    async def execute(self) -> RunResult:
        """Run the agent to its end.

        Raises:
            LeaseLost: another attempt of this session took over.
        """
        while (result := await self._once()) is None:
            pass
        return result

    async def _once(self) -> RunResult | None:
        """One attempt; None: its agent crashed, and another one goes on with its conversation."""
        rows = await begin_attempt(self._services, self._request)
        predecessors = Predecessors(self._services, rows.project, rows.session, rows.attempt)
        await predecessors.end()
        lost, kept = await predecessors.lost()
        if 0 < rows.project.options.retry.maximum_lost_workers <= lost:
            base = await self._folder.repository.tip()
            return await Ending(self._services, self._request, rows, base).gave_up(lost, kept)
        backend = self._services.backend(rows.agent.backend)
        resumption = await predecessors.resumption(backend)
        fresh = resumption is None and await predecessors.none_began(backend)
        if fresh and predecessors.can_resume(backend):
            resumption = await inherit(self._services, rows, self._request, backend)
        self._may_crash = predecessors.can_resume(backend) and await predecessors.crashed() < _CRASHES
        async with LeaseKeeper(self._services, rows.session.id, rows.attempt.token, self._stop) as lease:
            result = await self._attempt(rows, resumption)
            lease.check()
        return result

    def _name(self, attempt: int) -> str:
        return self._folder.attempt_name(self._request.session, attempt)

    # The attempt ------------------------------------------------------------------------------------------

    async def _attempt(self, rows: AttemptRows, resumption: Resumption | None) -> RunResult | None:
        name = self._name(rows.attempt.attempt)
        run_folder = self._folder.runs / name
        user = self._services.user_repository(rows.project)
        if user is not None:
            await user.feed(self._folder.repository)
        self._services.enclose(rows.project)
        workspace = await self._folder.workspaces.acquire(name)
        try:
            result = await self._work(rows, workspace, run_folder, resumption)
            if result is not None and not self._is_gone_on_with(result):
                await asyncio.to_thread(remove_tree, self._home, ignore_errors=True)
                await forget_copy(self._services, rows.session.id)
            return result
        finally:
            await asyncio.to_thread(remove_tree, run_folder, ignore_errors=True)
            await workspace.release()

    async def _work(
        self, rows: AttemptRows, workspace: Workspace, run_folder: Path, resumption: Resumption | None
    ) -> RunResult | None:
        base = await self._prepare(rows, workspace, resumption)
        ending = Ending(self._services, self._request, rows, base)
        folders = Folders(workspace.path, run_folder, self._home)
        folders.make()
        cache = self._services.setup_cache(rows.project)
        try:
            # A workspace that a lost attempt filled is not main's.
            unlanded = resumption.kept_commit or "" if resumption else ""
            made = await cache.prepare(
                rows.project.options.setup, workspace.path, run_folder / "setup", unlanded=unlanded
            )
        except SetupFailed as error:
            return await ending.refused(FailureKind.SETUP_FAILED, str(error))
        self._launch = launch = AgentLaunch(self._services, self._request, rows, self._stop)
        launched = await launch.run(folders, base, resumption)
        outbox = await asyncio.to_thread(_read, folders.outbox, self._request.role)
        try:
            ref = self._name(rows.attempt.attempt)
            guard = self._services.guard(rows.project)
            snapshot = await self._folder.repository.snapshot(workspace, base, ref, exclude=made, guard=guard)
        except RepositoryError as error:
            # What the agent left can't be stored: its own doing, and the next brief says why.
            return await ending.refused(FailureKind.SNAPSHOT_REFUSED, str(error), outbox)
        if self._goes_on(launched):
            await ending.crashed(launched.end, snapshot, outbox)
            return None
        result = await ending.ended(launched.end, snapshot, outbox, self._stop.reason)
        return result.model_copy(update={"spent": launched.spent})

    def _is_gone_on_with(self, result: RunResult) -> bool:
        """Whether this session, or the next one of its feature, goes on with the conversation."""
        stopped = self._stop.reason is InterruptionReason.WORKER_STOPPED
        return stopped or leaves_conversation(result, self.progress().tools)

    def _goes_on(self, launched: Launched) -> bool:
        """Whether the agent crashed in the middle of a conversation that another attempt goes on with."""
        crashed = launched.end.failure is not None and launched.end.failure.kind is FailureKind.AGENT_CRASHED
        # One that had not done anything yet would not do more another time.
        return crashed and self._may_crash and self.progress().tools > 0 and not self._stop.is_set()

    async def _prepare(self, rows: AttemptRows, workspace: Workspace, resumption: Resumption | None) -> str:
        """Fill the workspace: from main, or with what the conversation that goes on had left."""
        repository = self._folder.repository
        kept = resumption.kept_commit if resumption else None
        base = await repository.resolve(f"{kept}^") if kept else await repository.tip()
        async with self._services.store.transaction() as tx:
            await tx.attempts.start(rows.session.id, rows.attempt.attempt, rows.attempt.token, base=base)
        owner = self._services.user(rows.project)
        await workspace.prepare(repository, kept or base, with_git=True, owner=owner)
        return base

    @property
    def _home(self) -> Path:
        return self._folder.home(self._request.session)


def _read(folder: Path, role: Role) -> Outbox:
    return with_fitting_handoff(read_outbox(folder, role))
