"""`ProjectManager` for programs without an event loop."""

import inspect
import os
import weakref
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, Self

from shiftwork.looping import LoopThread
from shiftwork.management.manager import ProjectManager
from shiftwork.management.recognising import Recognition
from shiftwork.secrets import LazyRedactor
from shiftwork.settings import Settings
from shiftwork.stack.file import database_url as configured_database_url
from shiftwork.store.migrate import migrate
from shiftwork.store.store import Store


class WaitingProjectManager:
    """Every method of a `ProjectManager` that lives on a loop in another thread, waiting for its result."""

    def __init__(self, loop: LoopThread, manager: ProjectManager) -> None:
        self._loop = loop
        self._manager = manager

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(ProjectManager, name, None)
        if name.startswith("_") or not inspect.iscoroutinefunction(method):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            return self._loop.wait(method(self._manager, *args, **kwargs))

        return call

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(name for name in dir(ProjectManager) if name[0] != "_")})


class SyncProjectManager(WaitingProjectManager):
    """Every method of `ProjectManager`, waiting for its result.

    The work is done by one private event loop in a thread of its own; `close` ends both. Safe to use from
    several threads, and also where an event loop runs (which it blocks meanwhile).

    Args:
        database_url: where the projects are; None: as the environment says, or the running stack.
    """

    def __init__(self, database_url: str | None = None) -> None:
        settings = Settings.from_environment()
        url = database_url or configured_database_url(settings)
        redactor = LazyRedactor(os.environ, [url])
        store = Store(
            url,
            redact=redactor,
            learns=Recognition(settings, redactor),
            moved=None if database_url else partial(configured_database_url, settings),
        )
        super().__init__(LoopThread("project manager"), ProjectManager(store))
        self._stop = weakref.finalize(self, self._loop.stop, store.close)
        try:
            self._loop.wait(migrate(url))
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
