"""Reading the small files in which a kernel tells its figures."""

import os

_LARGEST = 1 << 20


def read(path: str) -> bytes:
    """All of a file; nothing if it is not there, or not for us: then what it tells is not known."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, _LARGEST)
    except OSError:  # Its group was removed meanwhile, or its controller is off.
        return b""
    finally:
        os.close(fd)


def number_in(path: str) -> int | None:
    """The whole number that a file consists of; None for `max`, or if there is none."""
    try:
        return int(read(path))
    except ValueError:
        return None


def key_of(text: bytes, key: bytes) -> int | None:
    """The number that follows a key at the beginning of a line, with or without a colon."""
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0].rstrip(b":") == key and words[1].isdigit():
            return int(words[1])
    return None
