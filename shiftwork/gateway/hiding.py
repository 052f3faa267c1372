"""Keeping the provider's key out of its own answers: some repeat what they were asked with."""

_SHORTEST = 12
"""Characters of a key that is looked for: shorter ones are no secrets, and found in any text."""


class Hiding:
    """Replaces a key in one answer, by as many other bytes, in whatever pieces it comes.

    Args:
        secret: the key, or a scheme and the key; None hides nothing.
    """

    def __init__(self, secret: str | None) -> None:
        key = (secret or "").rpartition(" ")[2]
        self._key = key.encode() if len(key) >= _SHORTEST else b""
        self._held = b""

    def headers(self, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Those that do not hold the key."""
        key = self._key.decode().lower()
        return [(name, value) for name, value in headers if not key or key not in f"{name} {value}".lower()]

    def body(self, data: bytes, *, last: bool = False) -> bytes:
        """What may be passed on now: all but the end of a piece where the key might begin."""
        if not self._key:
            return data
        data = (self._held + data if self._held else data).replace(self._key, b"*" * len(self._key))
        at = len(data) if last else self._begun(data)
        self._held = data[at:]
        return data[:at]

    def rest(self) -> bytes:
        """What was held back, at the end of the body."""
        return self.body(b"", last=True)

    def _begun(self, data: bytes) -> int:
        """Where the key might begin whose rest is yet to come."""
        at = max(0, len(data) - len(self._key) + 1)
        while (at := data.find(self._key[:1], at)) >= 0:
            if self._key.startswith(data[at:]):
                return at
            at += 1
        return len(data)
