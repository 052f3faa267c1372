"""The loop thread that synchronous facades share."""

import asyncio
import threading

import pytest

from shiftwork.looping import LoopThread


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
    assert cancelled.wait(5)


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
