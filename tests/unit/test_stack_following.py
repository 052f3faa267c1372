"""Where the stack runs by now, as whoever lives longer than it finds out."""

import asyncio
import os

import pytest

from shiftwork.errors import StackError
from shiftwork.settings import Settings
from shiftwork.stack.file import StackFile, remove_stack, write_stack
from shiftwork.stack.following import RunningStack
from shiftwork.stack.serving import serve_on


def publish(settings, address):
    write_stack(
        settings,
        StackFile(
            pid=os.getpid(), started_at="", namespace="default", database_url="", temporal_address=address
        ),
    )


def test_a_stack_that_was_started_again_is_seen(tmp_path):
    """If it failed, a client would ask at the old address for ever."""
    settings = Settings(state=tmp_path)
    stack = RunningStack(settings)
    with pytest.raises(StackError, match="No stack is running in"):
        stack.now()
    publish(settings, "127.0.0.1:1")
    first = stack.now()
    assert stack.now() is first  # nothing is read that is known
    publish(settings, "127.0.0.1:2")
    assert stack.now().temporal_address == "127.0.0.1:2"
    remove_stack(settings)
    with pytest.raises(StackError, match="No stack is running in"):
        stack.now()
    publish(settings, "127.0.0.1:3")
    assert stack.now().temporal_address == "127.0.0.1:3"


@pytest.mark.parametrize("reaches", [True, False], ids=["reached", "never reached"])
async def test_a_stack_that_was_reached_once_is_waited_for(tmp_path, reaches):
    """If it failed, a worker would end when its stack is started again while it starts itself."""
    stop, served = asyncio.Event(), []

    async def serve(_, reached):
        served.append(reached)
        if len(served) == 2:
            stop.set()
            return
        if reaches:
            reached.set()
        raise StackError("it went away.")

    serving = serve_on(Settings(state=tmp_path), stop, serve)
    if reaches:
        await asyncio.wait_for(serving, 60)
    else:
        with pytest.raises(StackError, match="it went away"):
            await serving
    assert len(served) == 1 + reaches
