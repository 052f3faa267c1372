"""A file that grows, sealed as it is stored: first a whole, then what changed, one part after the other."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from shiftwork.codec.difference import apply, difference
from shiftwork.codec.sealing import Seal
from shiftwork.errors import CodecError

_LENGTH = struct.Struct(">I")
_MOST_PARTS = 100
_LARGEST_CHANGED = 4 * 1024 * 1024
"""A larger file is always stored as a whole: comparing would take longer than it saves."""

_SMALL = 64 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """What is to be stored next.

    Attributes:
        body: sealed.
        whole: whether it replaces all parts before; else it is added to them.
        content: what then is stored.
    """

    body: bytes
    whole: bool
    content: bytes


class Parts:
    """Makes the parts of one file; seals, and so blocks.

    Args:
        place: what the parts belong to; nowhere else can they be opened.
    """

    def __init__(self, seal: Seal, place: str) -> None:
        self._seal = seal
        self._place = place
        self._content: bytes | None = None
        self._count = 0
        self._whole_bytes = 0
        self._added_bytes = 0

    def next(self, content: bytes) -> Part:
        """What makes the stored parts hold this content; raises `CodecError`."""
        if self._content is not None and self._may_add(content):
            change = difference(self._content, content)
            if 2 * len(change) < len(content):
                return Part(self._sealed(change, self._count), whole=False, content=content)
        return Part(self._sealed(content, 0), whole=True, content=content)

    def stored(self, part: Part) -> None:
        """That part is stored now."""
        if part.whole:
            self._count, self._whole_bytes, self._added_bytes = 0, len(part.body), 0
        else:
            self._added_bytes += len(part.body)
        self._count += 1
        self._content = part.content

    def forget(self) -> None:
        """It is not known what is stored: the next part is a whole."""
        self._content = None

    def _may_add(self, content: bytes) -> bool:
        small = self._added_bytes <= max(_SMALL, self._whole_bytes)
        return small and self._count < _MOST_PARTS and len(content) <= _LARGEST_CHANGED

    def _sealed(self, content: bytes, number: int) -> bytes:
        body = self._seal.seal(content, _place(self._place, number))
        return _LENGTH.pack(len(body)) + body


def open_parts(seal: Seal, body: bytes, place: str, limit: int) -> bytes:
    """The content that the parts hold.

    Args:
        limit: the most bytes that it may be.

    Raises:
        CodecError: a part can't be opened, or does not follow the one before; see `Seal.open`.
    """
    content = b""
    for number, part in enumerate(_split(body)):
        opened = seal.open(part, _place(place, number), 2 * limit)
        try:
            content = apply(content, opened, limit) if number else opened
        except ValueError as error:
            raise CodecError(f"Its part {number + 1} does not follow the one before: {error}.") from error
        if len(content) > limit:
            raise CodecError(f"It has more than {limit} bytes.")
    return content


def _split(body: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(body) or not at:
        start = at + _LENGTH.size
        if len(body) < start:
            raise CodecError("It is incomplete, or was stored by another version of Shiftwork.")
        at = start + _LENGTH.unpack_from(body, at)[0]
        if len(body) < at:
            raise CodecError("It is incomplete, or was stored by another version of Shiftwork.")
        yield body[start:at]


def _place(place: str, number: int) -> str:
    return f"{place} part {number}"
