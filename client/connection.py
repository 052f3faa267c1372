"""A connection to one stack: its rows, its Temporal server, and how a project's workflow is reached."""

import asyncio
import getpass
import time
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import (
    Client,
    WorkflowHandle,
)
from temporalio.service import RPCError, RPCStatusCode

from client.inputs import project_ref
from client.patience import PatientStore
from client.temporal_errors import answering
from shiftwork.contracts.project import ProjectStatus
from shiftwork.contracts.workflow import ProjectStart
from shiftwork.errors import StackError
from shiftwork.secrets import LazyRedactor
from shiftwork.settings import Settings
from shiftwork.stack.file import StackFile, database_url, temporal_is_external
from shiftwork.stack.following import RunningStack, is_same
from shiftwork.store.migrate import migrate
from shiftwork.store.rows import ProjectRow
from shiftwork.temporal import TASK_QUEUE, connect, project_workflow_id

CLOSED = (ProjectStatus.COMPLETED, ProjectStatus.ABANDONED)


class Connection:
    """A connection to one stack, as an async context."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings.from_environment()
        self._stack = AsyncExitStack()
        self._store: PatientStore | None = None
        self._running_stack = RunningStack(self.settings)
        self._connecting = asyncio.Lock()
        self._client: Client | None = None
        self._client_of: StackFile | None = None
        """The stack that the client was connected to, unless settings say where Temporal is."""

    async def __aenter__(self) -> Self:
        await migrate(database_url(self.settings))
        self._store = await self._stack.enter_async_context(PatientStore(self.settings))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        self._store = self._client = None

    @property
    def store(self) -> PatientStore:
        """The rows."""
        if self._store is None:
            raise StackError("this Shiftwork is not open; use it as `async with Shiftwork() as shiftwork`.")
        return self._store

    async def guard(self) -> LazyRedactor:
        """What refuses secrets, knowing by now what the workers know."""
        await self.store.learn()
        return self.store.redactor

    async def temporal(self) -> Client:
        """The Temporal client, connected at the first use, and anew where the stack was started again.

        So it is asked for whenever it is needed, and not kept.

        Raises:
            StackError: no stack runs, or Temporal can't be reached.
        """
        async with self._connecting:  # of many that ask at once, one connects
            stack = None if temporal_is_external() else self._running_stack.now()
            if self._client is None or not is_same(stack, self._client_of):
                self._client = await connect(self.settings, tell=self.store.redactor.learn)
                self._client_of = stack
            return self._client

    async def find(self, ref: str) -> ProjectRow:
        """The project with that id, beginning of an id, or name."""
        ref = project_ref(ref)
        async with self.store.transaction() as tx:
            return await tx.projects.find(ref)

    async def running(self, project_id: str) -> bool:
        """Whether the project's workflow is open."""
        handle = self._handle(project_id, await self.temporal())
        with answering():
            try:
                description = await handle.describe()
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    return False
                raise
        return description.close_time is None

    async def has_worker(self, seconds: float = 5.0) -> bool:
        """Whether a worker asked Temporal for work in the last minutes; True where nobody can say.

        Args:
            seconds: how long to wait for the first one, since a stack is up before its worker is.
        """
        deadline = time.monotonic() + seconds
        while True:
            if await has_pollers(await self.temporal()):
                return True
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.2)

    def _start(self, project_id: str) -> ProjectStart:
        from activities.starting_projects import project_start  # noqa: PLC0415 - most commands need none

        return project_start(self.settings, project_id)

    def _workflow_options(self, project: ProjectRow) -> dict[str, Any]:
        from activities.starting_projects import workflow_options  # noqa: PLC0415 - as above

        return workflow_options(self.settings, project.id, project.name, project.status)

    def _handle(self, project_id: str, client: Client) -> WorkflowHandle[Any, Any]:
        return client.get_workflow_handle(project_workflow_id(project_id))


async def has_pollers(client: Client) -> bool:
    """Whether a worker asked for work in the last minutes; True where the server does not tell."""
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=TASK_QUEUE),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    try:
        return bool((await client.workflow_service.describe_task_queue(request)).pollers)
    except RPCError:  # it is a hint: a server that does not tell must not keep a project from starting
        return True


def actor() -> str:
    """Who acts, for the events."""
    try:
        return f"user:{getpass.getuser()}"
    except (KeyError, OSError):  # no entry for this uid
        return "user"
