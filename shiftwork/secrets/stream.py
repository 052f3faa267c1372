"""Redaction of output that arrives in pieces."""

import codecs
from collections.abc import Sequence

from shiftwork.secrets.scanner import Pass, Scanner


class RedactingStream:
    """Redacts bytes that arrive in pieces: all together come out as the whole redacted at once.

    What might be the beginning of a secret is held back until it is certain, never more than the longest
    form of a secret takes; `close` gives the rest.
    """

    def __init__(self, scanners: Sequence[Scanner]) -> None:
        self._passes = [Pass(scanner) for scanner in scanners]

    def feed(self, piece: bytes) -> bytes:
        """What is certain after this piece; may be empty."""
        return self._through(piece, last=False)

    def close(self, piece: bytes = b"") -> bytes:
        """Everything that is left, after a last piece; nothing may be fed after it."""
        return self._through(piece, last=True)

    def _through(self, piece: bytes, *, last: bool) -> bytes:
        for step in self._passes:
            piece = step.feed(piece, last=last)
        return piece


class RedactingText:
    """The same for text."""

    def __init__(self, stream: RedactingStream) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogatepass")

    def feed(self, piece: str) -> str:
        """See `RedactingStream.feed`."""
        return self._decoder.decode(self._stream.feed(piece.encode("utf-8", "surrogatepass")))

    def close(self) -> str:
        """See `RedactingStream.close`."""
        return self._decoder.decode(self._stream.close(), final=True)
