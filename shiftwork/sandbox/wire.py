"""Messages and file descriptors between a worker and its warden."""

import array
import contextlib
import json
import os
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from shiftwork.sandbox import descriptors

Message = dict[str, Any]
_HEADER = struct.Struct("!I")
_MOST_FDS = 4
_CHUNK = 65536
_COMPLAIN = 0.1
"""Seconds between two complaints that the peer does not read."""

_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Channel:
    """JSON messages in frames over a stream socket; works where unix sockets know no packets (macOS).

    Args:
        when_full: called while the peer does not read, at once and ten times a second, with the seconds that
            this takes by now, as far as we ran meanwhile. It reads, so that two full directions never wait
            for each other, and may give up by a `ConnectionError`.

    Attributes:
        fds: received descriptors that nobody took yet, in the order of their messages.
    """

    def __init__(self, sock: socket.socket, when_full: Callable[[float], None] | None = None) -> None:
        self.fds: deque[int] = deque()
        self._socket = sock
        self._when_full = when_full
        self._received = bytearray()

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Send all of it; raises `ConnectionError` when the peer is gone, else see `descriptors.send`."""
        body = json.dumps(message).encode()
        data = memoryview(_HEADER.pack(len(body)) + body)
        waited = 0.0
        while data:
            try:
                sent = descriptors.send(self._socket, data, fds, socket.MSG_DONTWAIT)
            except BlockingIOError:
                began = time.monotonic()
                self._wait_for_room(waited)
                waited += min(time.monotonic() - began, _COMPLAIN)
            else:
                data, fds, waited = data[sent:], (), 0.0

    def receive(self) -> list[Message]:
        """What has arrived, perhaps nothing; raises `EOFError` at the end."""
        size = socket.CMSG_SPACE(_MOST_FDS * array.array("i").itemsize)
        try:
            data, ancillary, _, _ = self._socket.recvmsg(_CHUNK, size, socket.MSG_DONTWAIT | _CLOEXEC)
        except BlockingIOError:
            return []
        except ConnectionError as error:
            raise EOFError from error
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._keep(content)
        if not data:
            raise EOFError
        self._received += data
        return self._complete()

    def hang_up(self) -> None:
        """Have the peer read the end, even if a forked process holds the connection open."""
        with contextlib.suppress(OSError):  # the peer is gone
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it and what was received and not taken."""
        self._socket.close()
        while self.fds:
            os.close(self.fds.popleft())

    def _keep(self, content: bytes) -> None:
        received = array.array("i")
        received.frombytes(content[: len(content) - len(content) % received.itemsize])
        for fd in received:
            os.set_inheritable(fd, False)  # noqa: FBT003 - its own signature
            self.fds.append(fd)

    def _complete(self) -> list[Message]:
        found = []
        while len(self._received) >= _HEADER.size:
            (length,) = _HEADER.unpack_from(self._received)
            end = _HEADER.size + length
            if len(self._received) < end:
                break
            found.append(json.loads(self._received[_HEADER.size : end]))
            del self._received[:end]
        return found

    def _wait_for_room(self, waited: float) -> None:
        if self._when_full is None:
            select.select([], [self._socket], [])
        else:
            self._when_full(waited)
            select.select([self._socket], [self._socket], [], _COMPLAIN)
