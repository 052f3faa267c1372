"""Tasks by plain functions, for programs without an event loop.

Each function works on the running stack. It takes a connection first, or as `conn`; without one it opens one
for the call.
"""

import asyncio
import logging
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Protocol, Self, TypeVar, overload

from pydantic import JsonValue

from client.api import Shiftwork
from client.task_refs import find_task
from client.task_runner import INTERVAL, TaskRunner, is_runner_enabled, move_task
from shiftwork.contracts.task import TaskStatus
from shiftwork.errors import NotFound
from shiftwork.looping import LoopThread
from shiftwork.settings import Settings
from shiftwork.store.task_rows import TaskRow
from shiftwork.text import one_line, truncate

Result = TypeVar("Result")
Answer_co = TypeVar("Answer_co", covariant=True)
P = ParamSpec("P")

_MOST_SHOWN = 100
"""Characters of what a caller took for a task that are in the log."""

log = logging.getLogger("shiftwork.tasks")


class TaskConnection:
    """A connection to one stack that waits for what it is asked. Close it, or use it in a `with` block.

    Args:
        settings: which stack; None: as the environment says.

    Raises:
        StackError: none is running.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.shiftwork = Shiftwork(settings)
        self._loop = LoopThread("task connection")
        self._close = weakref.finalize(self, self._loop.stop, _leaving(self.shiftwork))
        try:
            self._loop.wait(self.shiftwork.__aenter__())
        except BaseException:  # whatever was wrong, the thread must not stay
            self.close()
            raise

    def wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        """What comes of this work on the connection."""
        return self._loop.wait(work)

    def close(self) -> None:
        """Disconnect; may be repeated."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _leaving(shiftwork: Shiftwork) -> Callable[[], Coroutine[Any, Any, None]]:
    async def leave() -> None:
        await shiftwork.__aexit__(None, None, None)

    return leave


def get_connection(state: str | Path | None = None) -> TaskConnection:
    """Connect to a stack.

    Args:
        state: its state folder; None: as the environment says.
    """
    settings = Settings.from_environment()
    if state is not None:
        settings = replace(settings, state=Path(state).expanduser().absolute())
    return TaskConnection(settings)


class _ConnectionFirst(Protocol[P, Answer_co]):
    """A function that takes its connection first, or as `conn`."""

    @overload
    def __call__(self, conn: TaskConnection | None, /, *args: P.args, **kwargs: P.kwargs) -> Answer_co: ...
    @overload
    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Answer_co: ...


def _connection_first(function: Callable[P, Result]) -> _ConnectionFirst[P, Result]:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Result:
        if args and (args[0] is None or isinstance(args[0], TaskConnection)):
            kwargs["conn"], *args = args  # type: ignore[assignment]  # a list does as well as a tuple
        return function(*args, **kwargs)

    return call


@contextmanager
def _connected(conn: TaskConnection | None) -> Iterator[TaskConnection]:
    if conn is not None:
        yield conn
        return
    with TaskConnection() as own:
        yield own


@_connection_first
def create_agent_task(
    user_id: str,
    provider: str,
    instruction: str,
    parameters: Mapping[str, JsonValue] | None = None,
    *,
    conn: TaskConnection | None = None,
) -> TaskRow:
    """Make a task that nothing runs yet. Its `state` is `created`; it has an `id` and a public `uuid`."""
    with _connected(conn) as open_:
        work = open_.shiftwork.create_task(provider, instruction, user_id=user_id, parameters=parameters)
        return open_.wait(work)


@_connection_first
def get_agent_task_by_id(task_id: int | str, *, conn: TaskConnection | None = None) -> TaskRow | None:
    """The task of this id or public id; None if there is none."""
    with _connected(conn) as open_:
        try:
            return open_.wait(find_task(open_.shiftwork.store, task_id))
        except NotFound:
            return None


@_connection_first
def update_agent_task_state(
    task_id: int | str,
    state: str,
    trace: Mapping[str, JsonValue] | str | None = None,
    *,
    conn: TaskConnection | None = None,
) -> TaskRow:
    """Give a task another status by hand; what runs it can no longer end it.

    Args:
        trace: facts to add to its trace; a text, or its `error`, is why it failed.

    Raises:
        ValueError: there is no such task, or that status can't follow the one it has; nothing was changed.
    """
    with _connected(conn) as open_:
        return open_.wait(move_task(open_.shiftwork, task_id, state, trace))


@_connection_first
def process_running_task(
    task_id: int | str,
    simulate_work: bool = False,  # noqa: ARG001, FBT001, FBT002 - callers have it; work is done by providers
    *,
    conn: TaskConnection | None = None,
) -> bool:
    """Have a task that is `running` be processed by its provider, and wait for its end.

    Returns:
        Whether it completed. False too where there is none or it is not running, which is logged.
    """
    with _connected(conn) as open_:
        return open_.wait(_process(open_.shiftwork, task_id))


async def _process(shiftwork: Shiftwork, ref: int | str) -> bool:
    try:
        task = await find_task(shiftwork.store, ref)
    except NotFound:
        log.warning("Task %s not found", one_line(truncate(str(ref), _MOST_SHOWN)))
        return False
    ended = await TaskRunner(shiftwork).process(task.id)
    return ended is not None and ended.status is TaskStatus.COMPLETED


@_connection_first
def run_once(*, conn: TaskConnection | None = None) -> dict[str, Any]:
    """Run everything that is pending, and wait for it; see `TaskRunner.run_once`.

    Nothing runs unless `SHIFTWORK_AGENT_RUNNER_ENABLED` is `true`, and the summary's `enabled` says so.
    """
    if not is_runner_enabled() and conn is None:
        return asyncio.run(TaskRunner(Shiftwork(), enabled=False).run_once())
    with _connected(conn) as open_:
        return open_.wait(TaskRunner(open_.shiftwork, enabled=is_runner_enabled()).run_once())


@_connection_first
def run_loop(
    interval_seconds: float = INTERVAL,
    stop: threading.Event | None = None,
    *,
    conn: TaskConnection | None = None,
) -> dict[str, Any]:
    """Do so again and again, until `stop` is set or Ctrl-C; an error never ends it.

    Args:
        interval_seconds: seconds from one look to the next.

    Returns:
        The summary of all rounds.
    """
    with _connected(conn) as open_:
        return open_.wait(_loop(open_.shiftwork, interval_seconds, stop))


async def _loop(shiftwork: Shiftwork, interval: float, stop: threading.Event | None) -> dict[str, Any]:
    ended = asyncio.Event()

    async def listen() -> None:
        while stop is None or not stop.is_set():  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0.1)
        ended.set()

    listening = asyncio.create_task(listen())
    try:
        return await TaskRunner(shiftwork, enabled=is_runner_enabled()).run_loop(interval, ended)
    finally:
        listening.cancel()
