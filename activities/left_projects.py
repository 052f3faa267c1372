"""Projects whose maker ended before it could start their workflow, and that nobody else would begin."""

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from activities.starting_projects import project_start, workflow_options
from shiftwork.contracts.project import ProjectStatus
from shiftwork.settings import Settings
from shiftwork.store.starts import Unstarted
from shiftwork.store.store import Store
from shiftwork.temporal import PROJECT_WORKFLOW

_PAGE = 500
_TO_BEGIN = 30.0
"""Seconds for which whoever made a project may be about to start its workflow."""


class LeftProjects:
    """Starts what was to be started, once, whoever does this at the same time.

    Those that were made to be started later, or by hand, are not among them.
    """

    def __init__(self, store: Store, client: Client, settings: Settings) -> None:
        self._store = store
        self._client = client
        self._settings = settings

    async def begin_all(self) -> int:
        """Begin them all; how many that were. Raises `RPCError`."""
        count = 0
        while True:
            async with self._store.transaction() as tx:
                found = await tx.starts.overdue(_TO_BEGIN, _PAGE)
            for each in found:
                count += await self._begin(each)
            if len(found) < _PAGE:
                return count

    async def _begin(self, project: Unstarted) -> bool:
        """Whether it was started here."""
        begun = project.status is ProjectStatus.INITIALIZING and await self._start(project)
        async with self._store.transaction() as tx:
            await tx.starts.done(project.id)
        return begun

    async def _start(self, project: Unstarted) -> bool:
        """False if its workflow runs or has ended: somebody has started it, and maybe ended it by hand."""
        options = workflow_options(self._settings, project.id, project.name, project.status)
        options |= {
            "id_conflict_policy": WorkflowIDConflictPolicy.FAIL,
            "id_reuse_policy": WorkflowIDReusePolicy.REJECT_DUPLICATE,
        }
        try:
            await self._client.start_workflow(
                PROJECT_WORKFLOW, project_start(self._settings, project.id), **options
            )
        except WorkflowAlreadyStartedError:
            return False
        return True
