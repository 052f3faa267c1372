"""The pipes of a program's standard streams."""

import contextlib
import io
import os
import socket
from types import TracebackType
from typing import Self


class Pipes:
    """Standard input, output and error of a program that is about to start.

    Leaving its context closes the program's ends, and ours too unless it was told that the program started.

    Args:
        reads: whether the program gets a pipe on standard input.
        sealed: see `ProcessSpec.sealed_output`.

    Attributes:
        theirs: the program's ends, by number; None for a standard input that is not there.

    Raises:
        OSError: no descriptor is left; nothing is left open then.
    """

    def __init__(self, *, reads: bool, sealed: bool = False) -> None:
        self._sealed = sealed
        self._always = contextlib.ExitStack()
        self._on_failure = contextlib.ExitStack()
        self._ours: list[int | None] = []
        theirs: list[int | None] = []
        try:
            for number in range(3):
                own, other = self._pipe(number) if number or reads else (None, None)
                self._ours.append(own)
                theirs.append(other)
        except OSError:
            self.__exit__(None, None, None)
            raise
        stdin, stdout, stderr = theirs
        assert stdout is not None, "always made"
        assert stderr is not None, "always made"
        self.theirs: tuple[int | None, int, int] = (stdin, stdout, stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._always.close()
        self._on_failure.close()

    def started(self) -> None:
        """The program has its ends now; ours belong to whoever took them."""
        self._always.close()

    def ours(self) -> list[io.FileIO | None]:
        """Our ends as files, which now close them."""
        self._on_failure.pop_all()
        modes = ("wb", "rb", "rb")
        return [
            None if fd is None else io.FileIO(fd, mode) for fd, mode in zip(self._ours, modes, strict=True)
        ]

    def _pipe(self, number: int) -> tuple[int, int]:
        reading, writing = _socket_pair() if number == 1 and self._sealed else os.pipe()
        own, other = (writing, reading) if number == 0 else (reading, writing)
        self._on_failure.callback(os.close, own)
        self._always.callback(os.close, other)
        return own, other


def _socket_pair() -> tuple[int, int]:
    """What a pipe is, of sockets."""
    reading, writing = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with reading, writing:
        reading.shutdown(socket.SHUT_WR)
        return reading.detach(), writing.detach()
