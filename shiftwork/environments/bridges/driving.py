"""Calling what is asynchronous from code that is not."""

import asyncio
import threading
import weakref
from collections.abc import Coroutine
from typing import Any, TypeVar

_Answer = TypeVar("_Answer")


class LoopThread:
    """An event loop in a thread of its own.

    So that it works wherever it is called: where no loop runs, and inside of one, which can't run another.
    The thread ends with `close`, or when nobody holds this any more.
    """

    def __init__(self) -> None:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=_run, args=(loop,), name="environment", daemon=True)
        thread.start()
        self._loop = loop
        self._end = weakref.finalize(self, _stop, loop, thread)

    @property
    def closed(self) -> bool:
        """Whether nothing can be called any more."""
        return not self._end.alive

    def call(self, call: Coroutine[Any, Any, _Answer]) -> _Answer:
        """Wait for what it returns, or raises."""
        future = asyncio.run_coroutine_threadsafe(call, self._loop)
        try:
            return future.result()
        except BaseException:  # an interrupt of who waits
            future.cancel()
            raise

    def close(self) -> None:
        """End the thread; once is enough."""
        self._end()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    if thread is not threading.current_thread():
        thread.join()
