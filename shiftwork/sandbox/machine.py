"""Programs of a few hundred bytes for 64-bit x86, made of instructions, with nothing to load."""

import errno
import platform
import struct
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Final

_ADDRESS: Final = 0x400000
_HEADERS: Final = 64 + 56
_TRIES: Final = 5
_REFUSALS: Final = frozenset({errno.EACCES, errno.ENOEXEC, errno.EPERM})
"""How a system says that it executes no such file, or none where temporary files are."""

_LONG: Final = 4
"""Bytes of a jump's distance, and of an address."""

_JUMPS: Final = {
    "always": b"\xe9",
    "equal": b"\x0f\x84",
    "not equal": b"\x0f\x85",
    "negative": b"\x0f\x88",
    "not negative": b"\x0f\x89",
    "below": b"\x0f\x82",
    "above": b"\x0f\x87",
    "not below": b"\x0f\x83",
}
"""By what the last comparison has to have found; above and below are of numbers without a sign."""


class Assembly:
    """Instructions and data one after the other; names stand for places among them, also for later ones."""

    def __init__(self) -> None:
        self._content = bytearray()
        self._places: dict[str, int] = {}
        self._distances: list[tuple[int, str]] = []
        self._addresses: list[tuple[int, str]] = []

    def add(self, *pieces: bytes) -> None:
        """Take in instructions, or data, as they are."""
        for piece in pieces:
            self._content += piece

    def name(self, place: str) -> None:
        """Call what comes next so."""
        self._places[place] = len(self._content)

    def call(self, number: int) -> None:
        """Call the kernel, whose answer is in eax; it changes rcx and r11, too."""
        self.add(b"\xb8", struct.pack("<I", number), b"\x0f\x05")  # mov eax, number; syscall

    def jump(self, place: str, when: str = "always") -> None:
        """Go on at a place, always or when a condition holds."""
        self.add(_JUMPS[when])
        self._distances.append((len(self._content), place))
        self.add(bytes(_LONG))

    def address(self, instruction: bytes, place: str) -> None:
        """An instruction that ends with the address of a place."""
        self.add(instruction)
        self._addresses.append((len(self._content), place))
        self.add(bytes(_LONG))

    def finish(self) -> bytes:
        """The file that can be executed, once everything was added that has a name."""
        for at, place in self._distances:
            struct.pack_into("<i", self._content, at, self._places[place] - at - _LONG)
        for at, place in self._addresses:
            struct.pack_into("<I", self._content, at, _ADDRESS + _HEADERS + self._places[place])
        return executable(bytes(self._content))


def start_of_code() -> int:
    """The address at which a program's content begins."""
    return _ADDRESS + _HEADERS


def executable(content: bytes) -> bytes:
    """The file of a program that begins with its content: an ELF header, and that of its only segment."""
    size = _HEADERS + len(content)
    identity = b"\x7fELF\x02\x01\x01" + bytes(9)
    start = start_of_code()
    header = struct.pack("<16sHHIQQQIHHHHHH", identity, 2, 62, 1, start, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _ADDRESS, _ADDRESS, size, size, 0x1000)
    return header + segment + content


def is_executed(program: bytes, *arguments: str, status: int) -> bool:
    """Whether such a program runs where temporary files are, and ends with this status.

    Tried once, unless something else was in the way: a full disk, a machine too busy.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64") or sys.maxsize < 1 << 32:
        return False
    try:
        return _status(program, arguments) == status
    except (OSError, subprocess.TimeoutExpired):
        return False


@cache
def _status(program: bytes, arguments: tuple[str, ...]) -> int | None:
    """How it ends; None if the system refuses to execute it."""
    with tempfile.TemporaryDirectory(prefix="shiftwork-program-") as folder:
        path = Path(folder) / "program"
        path.write_bytes(program)
        path.chmod(0o700)
        argv = (str(path), *arguments)
        for last in (*(False,) * (_TRIES - 1), True):
            try:
                return subprocess.run(argv, env={}, capture_output=True, check=False, timeout=60).returncode
            except OSError as error:
                if error.errno in _REFUSALS:
                    return None
                # A child that another thread started just then may still hold the file open for writing.
                if last or error.errno != errno.ETXTBSY:
                    raise
                time.sleep(0.02)
    raise AssertionError("the last try returns or raises")
