"""What the database keeps encrypted, by the payload codec's keys: compressed, and bound to its place."""

import hmac
import os
import zlib

from cryptography.exceptions import InvalidTag

from shiftwork.codec.sources import KeySource, encodes, key_source
from shiftwork.errors import CodecError
from shiftwork.settings import Settings

VERSION = b"\x01"
"""The first byte: how the rest is laid out. Length of the key's id, the id, nonce, what AES-GCM gives."""

_NONCE_BYTES = 12
_QUICK = 1
"""The level of compression: half a second for what takes longest."""


class Seal:
    """Seals and opens; blocks, so call it in a thread.

    Args:
        keys: None: there are none.
        seals: False: only what was sealed before is opened.
    """

    def __init__(self, keys: KeySource | None, *, seals: bool = True) -> None:
        self._keys = keys
        self.seals = seals and keys is not None
        """Whether anything can be sealed: not where the codec is off."""

    @classmethod
    def of(cls, settings: Settings) -> "Seal":
        """The one that these settings ask for; raises what `key_source` does."""
        return cls(key_source(settings), seals=encodes(settings))

    def seal(self, content: bytes, place: str) -> bytes:
        """Compress and encrypt.

        Args:
            place: what the result belongs to; nowhere else can it be opened.

        Raises:
            CodecError: the codec is off.
        """
        if self._keys is None or not self.seals:
            raise CodecError("The codec is off, so nothing is sealed.")
        key = self._keys.ring().active
        head, nonce = VERSION + bytes([len(key.id)]) + key.id.encode(), os.urandom(_NONCE_BYTES)
        sealed = key.cipher.encrypt(nonce, zlib.compress(content, _QUICK), head + place.encode())
        return head + nonce + sealed

    def derived(self, purpose: str) -> bytes:
        """A key of 32 bytes for one purpose, from the one that seals.

        Raises:
            CodecError: the codec is off.
        """
        if self._keys is None or not self.seals:
            raise CodecError("The codec is off, so there is no key to derive one from.")
        return hmac.digest(self._keys.ring().active.secret, purpose.encode(), "sha256")

    def open(self, body: bytes, place: str, limit: int) -> bytes:
        """What was sealed.

        Args:
            limit: the most bytes that it may be.

        Raises:
            CodecError: it was changed, or sealed with a key that is not among ours, or is too large.
        """
        if self._keys is None or body[:1] != VERSION:
            raise CodecError("It was sealed by another program or a newer Shiftwork, or there are no keys.")
        end = 2 + body[1] if len(body) > 1 else 2
        head, nonce, sealed = body[:end], body[end : end + _NONCE_BYTES], body[end + _NONCE_BYTES :]
        key = self._keys.ring()[head[2:].decode("ascii", "replace")]
        try:
            packed = key.cipher.decrypt(nonce, sealed, head + place.encode())
            return _unpacked(packed, limit)
        except (InvalidTag, ValueError, zlib.error) as error:
            raise CodecError(f"It was changed after it was sealed with the key {key.id!r}.") from error


def _unpacked(packed: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(packed, limit)
    if not unpacker.eof:
        raise CodecError(f"It has more than {limit} bytes, or ends too early.")
    return content
