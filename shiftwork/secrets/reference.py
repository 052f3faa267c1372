"""Secrets are named in settings by where they are, and read at the last moment."""

import hmac
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn

from shiftwork.errors import InvalidInput

MAX_BYTES = 65_536
"""The largest secret that is read from a file."""


class SecretSource(StrEnum):
    """Where a secret can be: a variable, a file of one's own, the keyring of the system."""

    ENV = "env"
    FILE = "file"
    KEYRING = "keyring"


class Secret:
    """A value that never shows: not as text, not in a traceback's locals, not as JSON, not pickled.

    Attributes:
        name: what stands in its place, and what errors call it: the reference it came from.
    """

    __slots__ = ("_value", "name")

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self._value = value

    def reveal(self) -> str:
        """The value itself: only for the call that needs it, never to be kept."""
        return self._value

    def __repr__(self) -> str:
        return f"[redacted:{self.name}]"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode("utf-8", "surrogatepass"), other._encoded())

    def __hash__(self) -> int:
        return hash(self._value)

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "Secret":
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"The secret {self.name!r} can't be pickled; pass on its reference instead.")

    def _encoded(self) -> bytes:
        return self._value.encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret is; safe to store and to show.

    Attributes:
        source: the kind of place.
        place: the variable's name, the file's absolute path, or `service/user` in the keyring.
    """

    source: SecretSource
    place: str

    def __str__(self) -> str:
        return f"{self.source}:{self.place}"

    @classmethod
    def parse(cls, text: str) -> "SecretRef":
        """Read `env:NAME`, `file:/path` or `keyring:service/user`.

        Raises:
            InvalidInput: it is none of these. The text is not repeated: it may be the secret itself.
        """
        kind, _, place = text.strip().partition(":")
        if kind not in set(SecretSource) or not place:
            raise InvalidInput(
                "A secret is given by reference, as env:NAME, file:/path or keyring:service/user; "
                "what was given is none of these, and is not shown because it may be the secret itself."
            )
        source = SecretSource(kind)
        if source is SecretSource.ENV and not _is_variable(place):
            raise InvalidInput("A secret's env: must be followed by the name of a variable, as env:API_KEY.")
        if source is SecretSource.FILE:
            place = _absolute(place)
        if source is SecretSource.KEYRING and not all(place.rpartition("/")):
            raise InvalidInput("A secret's keyring: must be followed by a service and a user: service/user.")
        return cls(source, place)

    def resolve(self, environ: Mapping[str, str] | None = None) -> Secret:
        """Read the secret now; a file or keyring may block.

        Raises:
            InvalidInput: it is missing, empty or unreadable, or others can read its file.
        """
        if self.source is SecretSource.ENV:
            value = (os.environ if environ is None else environ).get(self.place, "")
            if not value:
                raise InvalidInput(f"The secret {str(self)!r} is missing: set the variable {self.place}.")
        elif self.source is SecretSource.FILE:
            value = _from_file(Path(self.place), str(self))
        else:
            value = _from_keyring(self.place, str(self))
        return Secret(str(self), value)


def _is_variable(name: str) -> bool:
    return name.isascii() and name.isidentifier()


def _absolute(place: str) -> str:
    path = Path(place).expanduser()
    if not path.is_absolute():
        raise InvalidInput(f"The secret's file {place!r} must be given by an absolute path.")
    return str(path)


def _from_file(path: Path, name: str) -> str:
    try:
        # Without waiting: a pipe of this name must not hold us up.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidInput(f"The secret {name!r} can't be read: {error.strerror}.") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise InvalidInput(f"The secret {name!r} is not a regular file.")
        # As ssh treats private keys: what belongs to us must be ours alone.
        if found.st_uid == os.geteuid() and found.st_mode & 0o077:
            mode = stat.S_IMODE(found.st_mode)
            raise InvalidInput(
                f"The secret {name!r} can be read by others (mode {mode:04o}); run: chmod 600 {str(path)!r}."
            )
        data = os.read(descriptor, MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    return _as_text(data, name)


def _as_text(data: bytes, name: str) -> str:
    if len(data) > MAX_BYTES:
        raise InvalidInput(f"The secret {name!r} is larger than {MAX_BYTES:,} bytes.")
    try:
        value = data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise InvalidInput(f"The secret {name!r} is not UTF-8 text.") from None
    if not value:
        raise InvalidInput(f"The secret {name!r} is empty.")
    return value


def _from_keyring(place: str, name: str) -> str:
    try:
        import keyring  # noqa: PLC0415 - an optional extra
        import keyring.errors  # noqa: PLC0415
    except ImportError:
        raise InvalidInput(
            f"The secret {name!r} needs the system's keyring: install the extra 'keyring' of Shiftwork."
        ) from None
    service, _, user = place.rpartition("/")
    try:
        value = keyring.get_password(service, user)
    except keyring.errors.NoKeyringError:
        raise InvalidInput(
            f"The secret {name!r} can't be read: this system has no keyring; use env: or file: instead."
        ) from None
    except keyring.errors.KeyringError as error:
        raise InvalidInput(f"The secret {name!r} can't be read from the keyring: {error}.") from None
    except Exception as error:  # noqa: BLE001 - keyrings are plug-ins; what one says may hold anything
        kind = type(error).__name__
        raise InvalidInput(f"The secret {name!r} can't be read: the keyring fails with {kind}.") from None
    if not value:
        raise InvalidInput(
            f"The secret {name!r} is not in the keyring; run: keyring set {service!r} {user!r}."
        )
    return value
