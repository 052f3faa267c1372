"""Fingerprints of secrets as the database has them: made with the codec's keys, and sealed by them."""

import hmac
from typing import NamedTuple

from shiftwork.codec.sealing import Seal
from shiftwork.errors import CodecError
from shiftwork.secrets.redactor import Redactor

_LARGEST = 16 << 20
"""Bytes of one document that are read; each form of a secret takes 100 to 250."""


class SealedFingerprints(NamedTuple):
    """What a worker publishes.

    Attributes:
        content: a keyed digest of it, the same for the same knowledge.
        body: the document, compressed and encrypted.
    """

    content: str
    body: bytes


def seal_fingerprints(redactor: Redactor, seal: Seal, owner: str) -> SealedFingerprints:
    """What the redactor knows, for `owner` to publish; blocks.

    The database alone tells nothing of it: not the lengths, and even a guess can't be tried out without
    the codec's keys.

    Raises:
        CodecError: the codec is off.
    """
    key = seal.derived("fingerprints of secrets")
    document = redactor.fingerprints(key)
    return SealedFingerprints(hmac.digest(key, document, "sha256").hex(), seal.seal(document, _place(owner)))


def open_fingerprints(seal: Seal, owner: str, body: bytes) -> bytes | None:
    """The document; None if it was sealed with keys that are not ours."""
    try:
        return seal.open(body, _place(owner), _LARGEST)
    except CodecError:  # a worker with other keys: what it knows stays its own
        return None


def _place(owner: str) -> str:
    return f"secret_fingerprints/{owner}"
