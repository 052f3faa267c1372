"""The codec's keys as secrets that nobody may store or show."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable

from shiftwork.codec.keys import KeyRing
from shiftwork.codec.sources import KeySource
from shiftwork.secrets.reference import Secret

Tell = Callable[..., None]
"""Takes secrets that are to be kept out of everything from now on, as `LazyRedactor.learn` does."""


def ring_secrets(ring: KeyRing) -> tuple[Secret, ...]:
    """Every key of the ring as people and programs write it: in base64 and in hexadecimal digits."""
    return tuple(
        Secret(f"codec-key:{key.id}", text)
        for key in ring.keys
        for text in dict.fromkeys(
            (
                b64encode(key.secret).decode().rstrip("="),
                urlsafe_b64encode(key.secret).decode().rstrip("="),
                key.secret.hex(),
                key.secret.hex().upper(),
            )
        )
    )


class KnownKeys:
    """Keys that are told to whoever keeps secrets out: before they are used, and when they change."""

    def __init__(self, keys: KeySource, tell: Tell) -> None:
        self._keys = keys
        self._tell = tell
        self._told: KeyRing | None = None

    def ring(self) -> KeyRing:
        """See `KeySource`."""
        ring = self._keys.ring()
        if ring is not self._told:
            self._tell(*ring_secrets(ring))
            self._told = ring
        return ring
