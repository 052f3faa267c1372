"""Taking over the listening socket that a confined program's side hands out."""

import array
import asyncio
import os
import socket

from shiftwork.errors import ShiftworkError

_INT = array.array("i").itemsize


class DoorClosed(ShiftworkError):  # noqa: N818 - it names what happened
    """The confined side sent no listening socket."""


async def receive_listener(door: socket.socket) -> socket.socket:
    """The socket that comes over the door, without blocking.

    Raises:
        DoorClosed: what came is no listening TCP socket, or nothing came.
    """
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(door, _set, ready)
    try:
        await ready
    finally:
        loop.remove_reader(door)
    received = _receive(door)
    if len(received) != 1:
        for descriptor in received:
            os.close(descriptor)
        raise DoorClosed("The sandbox did not hand out its network: its start failed.")
    listener = socket.socket(fileno=received[0])
    if not _listens(listener):
        listener.close()
        raise DoorClosed("The sandbox handed out something else than its listening socket.")
    listener.settimeout(0)
    return listener


def _receive(door: socket.socket) -> list[int]:
    try:
        _, ancillary, _, _ = door.recvmsg(
            1, socket.CMSG_SPACE(4 * _INT), getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        )
    except OSError:
        return []
    received = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            received.frombytes(data[: len(data) - len(data) % _INT])
    for descriptor in received:
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - takes no keyword
    return list(received)


def _set(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


def _listens(received: socket.socket) -> bool:
    tcp = received.family == socket.AF_INET and received.type == socket.SOCK_STREAM
    accepts = getattr(socket, "SO_ACCEPTCONN", None)
    return tcp and (accepts is None or received.getsockopt(socket.SOL_SOCKET, accepts) == 1)
