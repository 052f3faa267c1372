"""`ProjectManager` for programs without an event loop."""

import asyncio
import inspect
import threading
import weakref
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Self, TypeVar

from shiftwork.management.manager import ProjectManager
from shiftwork.settings import Settings
from shiftwork.stack.file import database_url as configured_database_url
from shiftwork.store.migrate import migrate
from shiftwork.store.store import Store

Result = TypeVar("Result")


class SyncProjectManager:
    """Every method of `ProjectManager`, waiting for its result.

    The work is done by one private event loop in a thread of its own; `close` ends both. Safe to use from
    several threads, and also where an event loop runs (which it blocks meanwhile).

    Args:
        database_url: where the projects are; None: as the environment says, or the running stack.
    """

    def __init__(self, database_url: str | None = None) -> None:
        url = database_url or configured_database_url(Settings.from_environment())
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="shiftwork-project-manager", daemon=True
        )
        self._thread.start()
        self._stop = weakref.finalize(self, _stop, self._loop, self._thread, store := Store(url))
        self._manager = ProjectManager(store)
        try:
            _wait(self._loop, migrate(url))
        except BaseException:  # whatever it was, the thread must not stay
            self._stop()
            raise

    def close(self) -> None:
        """Close the connections and end the thread; may be repeated."""
        self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(ProjectManager, name, None)
        if name.startswith("_") or not inspect.iscoroutinefunction(method):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            return _wait(self._loop, method(self._manager, *args, **kwargs))

        return call

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(name for name in dir(ProjectManager) if name[0] != "_")})


def _wait(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Result]) -> Result:
    if loop.is_closed():
        work.close()
        raise RuntimeError("this project manager is closed")
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()  # Ctrl-C here ends the work there
        raise


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread, store: Store) -> None:
    if (
        threading.current_thread() is thread
    ):  # collected as garbage by its own loop, which can't wait for itself
        loop.create_task(store.close()).add_done_callback(lambda _: loop.stop())
        return
    _wait(loop, store.close())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
