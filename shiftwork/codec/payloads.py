"""The codec itself: payloads become AES-256-GCM on their way to Temporal, and plain on their way back."""

import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from shiftwork.codec.keys import Key
from shiftwork.codec.sources import KeySource
from shiftwork.errors import CodecError

ENCODING = b"binary/encrypted"
KEY_ID = "encryption-key-id"
VERSION = b"\x01"
"""The first byte of what is encoded: how the rest is laid out. Nonce, then what AES-GCM gives."""

_NONCE_BYTES = 12


class EncryptionCodec(PayloadCodec):
    """Encodes with the newest key, decodes with any; what was never encoded passes through.

    A payload is encoded whole, its metadata too. Key id and version are associated data: whoever changes
    them breaks the payload.
    """

    def __init__(self, keys: KeySource, *, encodes: bool = True) -> None:
        """Take the keys.

        Args:
            encodes: False: only what was encoded before is decoded.
        """
        self._keys = keys
        self.encodes = encodes

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See `PayloadCodec`."""
        if not self.encodes:
            return list(payloads)
        key = self._keys.ring().active
        return [_encoded(payload, key) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See `PayloadCodec`.

        Raises:
            CodecError: a payload was changed, or its key is not among ours.
        """
        return [self._decoded(payload) if _is_encoded(payload) else payload for payload in payloads]

    def _decoded(self, payload: Payload) -> Payload:
        if payload.data[:1] != VERSION:
            raise CodecError(
                "Something that Temporal stores was encoded by another program, or a newer Shiftwork: "
                "use that one."
            )
        key_id = payload.metadata.get(KEY_ID, b"").decode("utf-8", "replace")
        key = self._keys.ring()[key_id]
        nonce, sealed = payload.data[1 : 1 + _NONCE_BYTES], payload.data[1 + _NONCE_BYTES :]
        try:
            return Payload.FromString(key.cipher.decrypt(nonce, sealed, _bound(key)))
        except (InvalidTag, DecodeError, ValueError) as error:
            raise CodecError(
                f"Something that Temporal stores was changed after it was encoded with the key {key_id!r}; "
                "it is not used."
            ) from error


def _is_encoded(payload: Payload) -> bool:
    return payload.metadata.get("encoding") == ENCODING


def _encoded(payload: Payload, key: Key) -> Payload:
    nonce = os.urandom(_NONCE_BYTES)
    sealed = key.cipher.encrypt(nonce, payload.SerializeToString(), _bound(key))
    metadata = {"encoding": ENCODING, KEY_ID: key.id.encode()}
    return Payload(metadata=metadata, data=VERSION + nonce + sealed)


def _bound(key: Key) -> bytes:
    """What is not secret, but may not be changed."""
    return b"shiftwork codec" + VERSION + key.id.encode()
