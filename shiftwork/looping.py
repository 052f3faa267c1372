"""An event loop in a thread of its own, on which synchronous facades do asynchronous work."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from queue import SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")

_Calls = SimpleQueue[Callable[[], None] | None]

_WAITING: ContextVar[_Calls] = ContextVar("waiting")
"""Where the thread that waits for the current work takes its calls from."""


class _Waits:
    """What a thread waits for, as long as anybody wants what it does."""

    def __init__(self) -> None:
        self._given_up = False
        self._futures: list[Future[Any]] = []

    def begin(self, future: "Future[Any]") -> None:
        # Noted before it is asked, and given up the other way round: so neither misses the other.
        self._futures.append(future)
        if self._given_up:
            future.cancel()

    def give_up(self) -> None:
        self._given_up = True
        for future in tuple(self._futures):
            future.cancel()


_WAITS: ContextVar[_Waits | None] = ContextVar("waits", default=None)
"""Of the thread that `in_own_thread` made, if this is one."""


async def in_own_thread(function: Callable[..., Result], *args: Any) -> Result:
    """Call the function in a thread of its own, however many others have one, and wait for its result.

    Where this is cancelled, so is the work in a `LoopThread` that the thread waits for, now or later.
    Anything else that it does goes on, and keeps neither an event loop nor the program from ending.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Result] = loop.create_future()
    waits, context = _Waits(), copy_context()
    context.run(_WAITS.set, waits)

    def tell(tell: Callable[[Any], None], what: Any) -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
            loop.call_soon_threadsafe(lambda: None if answer.done() else tell(what))

    def call() -> None:
        try:
            result = context.run(function, *args)
        except StopIteration as error:  # which no future takes
            tell(answer.set_exception, RuntimeError(f"{type(error).__name__} was raised"))
        except BaseException as error:  # noqa: BLE001 - whatever it is belongs to whoever waits
            tell(answer.set_exception, error)
        else:
            tell(answer.set_result, result)

    threading.Thread(target=call, name="own", daemon=True).start()
    try:
        return await answer
    finally:
        waits.give_up()


class LoopThread:
    """Safe to use from several threads, and also where an event loop runs (which it blocks meanwhile).

    Args:
        name: what the thread is called, and what errors call its owner.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do the work in the loop, and wait for what comes of it; Ctrl-C here ends it there.

        Raises:
            RuntimeError: the thread was stopped, or this is that thread, which can't wait for itself.
        """
        if self._loop.is_closed():
            work.close()
            raise RuntimeError(f"this {self._name} is closed")
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError(f"this {self._name} can't be waited for in its own event loop")
        calls: _Calls = SimpleQueue()
        context = copy_context()
        context.run(_WAITING.set, calls)
        future = context.run(asyncio.run_coroutine_threadsafe, work, self._loop)
        future.add_done_callback(lambda _: calls.put(None))
        if (waits := _WAITS.get()) is not None:
            waits.begin(future)
        try:
            while (call := calls.get()) is not None:
                call()
            return future.result()
        except BaseException:  # Ctrl-C too: what the caller no longer waits for must not go on
            future.cancel()
            raise

    async def in_caller(self, function: Callable[..., Result], *args: Any) -> Result:
        """Call the function in the thread that waits for the work this is part of; its result or error."""
        answer: asyncio.Future[Result] = self._loop.create_future()

        def call() -> None:
            try:
                result = function(*args)
            except Exception as error:  # noqa: BLE001 - whatever it is belongs to whoever awaits the call
                self._tell(answer, answer.set_exception, error)
            else:
                self._tell(answer, answer.set_result, result)

        _WAITING.get().put(call)
        return await answer

    def _tell(self, answer: "asyncio.Future[Result]", tell: Callable[[Any], None], what: Any) -> None:
        # The work may have been cancelled meanwhile, and then nobody awaits the answer.
        self._loop.call_soon_threadsafe(lambda: None if answer.done() else tell(what))

    def stop(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do this last piece of work, then end the loop and the thread."""
        if threading.current_thread() is self._thread:
            # Called by the garbage collector within the loop, which can't wait for itself.
            self._loop.create_task(last()).add_done_callback(lambda _: self._loop.stop())
            return
        try:
            Context().run(self.wait, last())  # nobody gives up on this one
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
