"""The loop thread that synchronous facades share."""

import asyncio
import threading
from concurrent.futures import CancelledError

import pytest

from shiftwork.looping import LoopThread, in_own_thread


@pytest.fixture
def loop():
    thread = LoopThread("thing")
    yield thread
    thread.stop(nothing)


async def nothing() -> None:
    """Nothing to be done last."""


def test_work_is_done_in_another_thread_and_calls_come_back(loop):
    """If it failed, a callback of people's would run in a thread that their objects don't belong to."""

    async def work() -> tuple[int, int]:
        return threading.get_ident(), await loop.in_caller(threading.get_ident)

    there, here = loop.wait(work())
    assert here == threading.get_ident() != there


def test_a_call_may_wait_for_the_loop_again(loop):
    """If it failed, a callback that asks for anything would hang for ever."""

    async def twice(number: int) -> int:
        return 2 * number

    async def work() -> int:
        return await loop.in_caller(lambda: loop.wait(twice(3)))

    assert loop.wait(work()) == 6


def test_what_a_call_raises_ends_the_work(loop):
    """If it failed, a callback's mistake would be lost, or the work would go on unheard."""

    def fail() -> None:
        raise ValueError("mine")

    async def work() -> None:
        await loop.in_caller(fail)

    with pytest.raises(ValueError, match="mine"):
        loop.wait(work())


def test_an_interrupted_wait_cancels_the_work(loop):
    """If it failed, Ctrl-C would leave the work running behind the person's back."""
    cancelled = threading.Event()

    def interrupt() -> None:
        raise KeyboardInterrupt

    async def work() -> None:
        try:
            await loop.in_caller(interrupt)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(KeyboardInterrupt):
        loop.wait(work())
    assert cancelled.wait(100)


def test_the_loop_can_not_wait_for_itself(loop):
    """If it failed, such a mistake would hang the program instead of being told."""

    async def work() -> None:
        loop.wait(nothing())

    with pytest.raises(RuntimeError, match="thing can't be waited for in its own"):
        loop.wait(work())


def test_a_stopped_loop_says_so():
    """If it failed, using a closed facade would hang."""
    loop = LoopThread("thing")
    loop.stop(nothing)
    with pytest.raises(RuntimeError, match="this thing is closed"):
        loop.wait(nothing())


def test_the_thread_ends_even_if_the_last_work_fails():
    """If it failed, a server that went away would keep the program from ending."""

    async def fail() -> None:
        raise OSError("gone")

    loop = LoopThread("a failing thing")
    with pytest.raises(OSError, match="gone"):
        loop.stop(fail)
    assert all(thread.name != "a failing thing" for thread in threading.enumerate())


def test_who_gives_up_on_a_thread_ends_what_it_waits_for(loop):
    """If it failed, a cancelled wait would keep a program from ending until what it waited for is over."""
    begun, ended, after = threading.Event(), threading.Event(), threading.Event()

    async def work() -> None:
        try:
            begun.set()
            await asyncio.sleep(600)
        finally:
            ended.set()

    def waits() -> None:
        try:
            loop.wait(work())
        finally:
            with pytest.raises(CancelledError):
                loop.wait(asyncio.sleep(600))
            after.set()

    async def gives_up() -> None:
        task = asyncio.create_task(in_own_thread(waits))
        assert await asyncio.to_thread(begun.wait, 100)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(gives_up())
    assert ended.wait(100)
    assert after.wait(100)


def test_a_thread_that_is_given_up_closes_what_it_opened():
    """If it failed, a connection would stay behind whoever no longer waits for its work."""
    begun, closed = threading.Event(), threading.Event()

    async def close() -> None:
        await asyncio.sleep(0.01)
        closed.set()

    def works() -> None:
        inner = LoopThread("inner")

        async def work() -> None:
            begun.set()
            await asyncio.sleep(600)

        try:
            inner.wait(work())
        finally:
            inner.stop(close)

    async def gives_up() -> None:
        task = asyncio.create_task(in_own_thread(works))
        assert await asyncio.to_thread(begun.wait, 100)
        task.cancel()

    asyncio.run(gives_up())
    assert closed.wait(100)


def test_whatever_a_thread_of_its_own_raises_is_told():
    """If it failed, who waits for it would wait for ever."""
    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(in_own_thread(next, iter(())))
    with pytest.raises(ZeroDivisionError):
        asyncio.run(in_own_thread(divmod, 1, 0))
    assert asyncio.run(in_own_thread(divmod, 7, 2)) == (3, 1)
