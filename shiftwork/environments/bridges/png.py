"""Pictures as PNG, without a library for pictures."""

import struct
import zlib
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES: Final = {1: 0, 3: 2, 4: 6}
"""How PNG calls pictures of so many channels: grey, colour, colour with transparency."""
_LEAST_SIDE: Final = 8


def is_picture(pixels: npt.NDArray[Any]) -> bool:
    """Whether an array looks like a picture: bytes, in rows and columns, with 1, 3 or 4 channels."""
    return (
        pixels.dtype == np.uint8
        and pixels.ndim == 3
        and pixels.shape[2] in _COLOUR_TYPES
        and min(pixels.shape[:2]) >= _LEAST_SIDE
    )


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A picture as a PNG file.

    Args:
        pixels: of shape (height, width, channels), with 1, 3 or 4 channels.
    """
    height, width, channels = pixels.shape
    head = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 6)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
