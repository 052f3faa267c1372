"""The keys of the payload codec: a ring of them, where they come from, and how they are rotated."""

import binascii
import json
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shiftwork.errors import CodecError, InvalidInput

KEY_BYTES = 32
"""AES-256."""

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class Key:
    """One key of AES-256-GCM.

    Attributes:
        id: stored beside everything it encodes, so that the right key is found again.
        secret: 32 bytes.
        created_at: ISO 8601 in UTC; None where nobody wrote it down.
    """

    id: str
    secret: bytes = field(repr=False)
    created_at: str | None = None

    @classmethod
    def generate(cls) -> "Key":
        """A new random key."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(secrets.token_hex(4), AESGCM.generate_key(8 * KEY_BYTES), now)

    @cached_property
    def cipher(self) -> AESGCM:
        """What encrypts and decrypts."""
        return AESGCM(self.secret)


@dataclass(frozen=True)
class KeyRing:
    """Keys in their order: the first encodes, all decode.

    Attributes:
        origin: where they come from, for people.
    """

    keys: tuple[Key, ...]
    origin: str

    @property
    def active(self) -> Key:
        """The key that encodes."""
        return self.keys[0]

    @property
    def ids(self) -> tuple[str, ...]:
        """The keys' ids, in their order."""
        return tuple(key.id for key in self.keys)

    def __getitem__(self, key_id: str) -> Key:
        """The key with that id; raises `CodecError` if there is none."""
        for key in self.keys:
            if key.id == key_id:
                return key
        raise CodecError(
            f"Something that Temporal stores was encoded with the key {key_id[:64]!r}, "
            f"which is not among those of {self.origin}: put it back there."
        )

    def rotated(self) -> "KeyRing":
        """The ring with a new key that encodes from now on."""
        return KeyRing((Key.generate(), *self.keys), self.origin)

    def dumps(self) -> str:
        """The ring as `parse` reads it."""
        keys = [
            {"id": key.id, "key": b64encode(key.secret).decode(), "created_at": key.created_at}
            for key in self.keys
        ]
        return json.dumps({"version": 1, "keys": keys}, indent=2) + "\n"


def parse(text: str, origin: str) -> KeyRing:
    """Read a ring: what `dumps` wrote, or `ID:BASE64` entries, one a line or separated by commas.

    Raises:
        InvalidInput: it is neither; the sentence never shows a key.
    """
    try:
        keys = tuple(_stored(text) if text.lstrip().startswith("{") else _listed(text))
    except (ValueError, TypeError, KeyError, AttributeError) as error:  # binascii.Error is a ValueError
        raise InvalidInput(
            f"The codec's keys in {origin} can't be read: "
            "give them as ID:BASE64, one a line, the newest first."
        ) from error
    ids = [key.id for key in keys]
    if not keys:
        problem = "there is none"
    elif any(not _ID.fullmatch(key_id) for key_id in ids):
        problem = "an id may hold letters, digits, dots, dashes and underscores, 64 at most"
    elif any(len(key.secret) != KEY_BYTES for key in keys):
        problem = f"each must have {KEY_BYTES} bytes (`openssl rand -base64 {KEY_BYTES}` makes one)"
    elif len(set(ids)) < len(ids):
        problem = "two have the same id"
    else:
        return KeyRing(keys, origin)
    raise InvalidInput(f"The codec's keys in {origin} can't be used: {problem}.")


def _stored(text: str) -> Iterator[Key]:
    document = json.loads(text)
    if document["version"] != 1:
        raise ValueError("a newer version")
    for each in document["keys"]:
        yield Key(each["id"], _secret(each["key"]), each.get("created_at"))


def _listed(text: str) -> Iterator[Key]:
    for line in re.split(r"[,\n]", text):
        entry = line.strip()
        if entry and not entry.startswith("#"):
            key_id, _, secret = entry.partition(":")
            yield Key(key_id.strip(), _secret(secret.strip()))


def _secret(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
