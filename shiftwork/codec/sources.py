"""Where the codec's keys are kept: a file of the state folder, or a place that the settings name."""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from shiftwork.codec.keys import Key, KeyRing, parse
from shiftwork.errors import CodecError, Conflict, InvalidInput, StackError
from shiftwork.secrets.reference import SecretRef, SecretSource
from shiftwork.settings import Settings
from shiftwork.stack.file import read_stack, temporal_is_external
from shiftwork.stack.private import check_own_folder, private_folder, read_own, state_folder, write_private


class KeySource(Protocol):
    """Whatever gives the ring that holds now."""

    def ring(self) -> KeyRing:
        """The keys; cheap to ask each time."""
        ...


class GivenKeys:
    """A ring that does not change while this process lives."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def ring(self) -> KeyRing:
        """See `KeySource`."""
        return self._ring


class ReferredKeys:
    """Keys in a file that a reference names: read each time, so that running workers follow a rotation."""

    def __init__(self, where: SecretRef) -> None:
        self._where = where
        self._text: str | None = None
        self._ring: KeyRing | None = None

    def ring(self) -> KeyRing:
        """See `KeySource`.

        Raises:
            InvalidInput: the file is missing or no regular one, others can read it, or it holds no keys.
        """
        text = self._where.resolve().reveal()
        if self._ring is None or text != self._text:
            self._ring, self._text = parse(text, str(self._where)), text
        return self._ring


class StateKeys:
    """The key file of a state folder: 0600 in a folder of mode 0700, made when it is first needed.

    It is read again when it was changed, so that running workers follow a rotation. It is not made again
    while there is what was encoded with it. A note beside what Temporal stores says so, and goes with that.

    Args:
        state: the folder.
        external: whether another Temporal server is used than that of the folder.
    """

    def __init__(self, state: Path, *, external: bool = False) -> None:
        self.path = state / "codec" / "keys.json"
        self._seen: tuple[int, int, int] | None = None
        self._ring: KeyRing | None = None
        self._external = external
        self._note = state / "codec" / "used" if external else state / "temporal" / "encoded"
        self._noted = False

    @property
    def exists(self) -> bool:
        """Whether keys were ever made here."""
        return self.path.exists()

    def ring(self) -> KeyRing:
        """See `KeySource`.

        Raises:
            InvalidInput: another user made the file or a folder above it, or can write to them.
            CodecError: the file is gone; see `check_kept`.
            Conflict: there is none yet, and the stack that runs has others, or none.
            StackError: others may read the file.
        """
        self._check_folders()
        if not self.exists:
            self._change(lambda ring: ring or self._new())
        self._check_mode()
        self._take_note()
        return self._read()

    def _check_mode(self) -> None:
        if self.path.stat().st_mode & 0o077:
            raise StackError(f"Others may read the codec's keys: run `chmod 600 {self.path}`.")

    def check_kept(self) -> None:
        """Raise `CodecError` if the file is gone although something was encoded with its keys."""
        if self.exists or not (self._noted or self._note.exists()):
            return
        raise CodecError(
            f"The codec's keys in {self.path} are gone, and what Temporal stores was encoded with them: put "
            f"the file back; if it is lost, stop what runs and remove {self._note.parent}, "
            "then projects go on from the database."
        )

    def _take_note(self) -> None:
        if not self._noted and not self._note.exists():
            (private_folder(self._note.parent) / self._note.name).touch(0o600)
        self._noted = True

    def rotate(self) -> KeyRing:
        """Add a key that encodes from now on; the old ones go on decoding.

        Raises:
            StackError: others may read the file; beside what `ring` raises.
        """
        return self._change(lambda ring: ring.rotated() if ring else self._new())

    def _new(self) -> KeyRing:
        return KeyRing((Key.generate(),), str(self.path))

    def _check_alone(self) -> None:
        """Raise `Conflict` if what runs could not read what a new ring encodes."""
        stack = read_stack(Settings(state=self.path.parent.parent))
        if stack is None or stack.codec is None:
            return
        if not (self._external and stack.temporal_address):
            elsewhere = "other keys" if stack.codec else "no keys, because SHIFTWORK_CODEC=off is set for it"
            raise Conflict(
                f"No keys are made in {self.path}: the running stack has {elsewhere}; "
                "set SHIFTWORK_CODEC and SHIFTWORK_CODEC_KEYS here as they are for `shiftwork dev`."
            )

    def _change(self, change: Callable[[KeyRing | None], KeyRing]) -> KeyRing:
        """Replace the file, one process at a time: two first starts must agree on one key."""
        self._check_folders()
        if not self.exists:
            self.check_kept()
            self._check_alone()
        state_folder(self.path.parent.parent)
        with _locked(private_folder(self.path.parent) / "lock"):
            self.check_kept()
            if self.exists:
                self._check_mode()
            before = self._read() if self.exists else None
            after = change(before)
            if after is not before:
                write_private(self.path, after.dumps())
        return after

    def _check_folders(self) -> None:
        for folder in (self.path.parent.parent, self.path.parent):
            check_own_folder(folder)

    def _read(self) -> KeyRing:
        """What the file holds now; raises `InvalidInput` if that is not a ring."""
        try:
            found = self.path.stat()
            seen = (found.st_ino, found.st_ctime_ns, found.st_size)
            if self._ring is None or seen != self._seen:
                self._ring, self._seen = parse(read_own(self.path), str(self.path)), seen
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"The codec's keys in {self.path} can't be read: {error}.") from error
        return self._ring


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def encodes(settings: Settings, environ: Mapping[str, str] | None = None) -> bool:
    """Whether what goes to Temporal is encoded.

    Unless it was said, it is for the embedded server, and for another one if keys are given: whoever uses
    that one from elsewhere needs the same keys.
    """
    if settings.codec is not None:
        return settings.codec
    return settings.codec_keys is not None or not temporal_is_external(environ)


def key_source(settings: Settings, environ: Mapping[str, str] | None = None) -> KeySource | None:
    """Where the keys of these settings are; None if nothing is encoded, and nothing ever was.

    Raises:
        InvalidInput: `SHIFTWORK_CODEC_KEYS` names no keys, or a file that others can read.
    """
    if settings.codec_keys is not None:
        return _referred(settings.codec_keys, environ)
    keys = StateKeys(settings.state, external=temporal_is_external(environ))
    return keys if encodes(settings, environ) or keys.exists else None


def existing_keys(settings: Settings, environ: Mapping[str, str] | None = None) -> KeySource | None:
    """The same; None also where keys would have to be made first."""
    keys = key_source(settings, environ)
    return None if isinstance(keys, StateKeys) and not keys.exists else keys


def state_keys(settings: Settings) -> StateKeys:
    """The key file of the state folder, which can be rotated.

    Raises:
        Conflict: the keys are kept elsewhere.
    """
    if settings.codec_keys is not None:
        raise Conflict(
            "The codec's keys are those of SHIFTWORK_CODEC_KEYS: put a new one before the others there."
        )
    return StateKeys(settings.state, external=temporal_is_external())


def _referred(reference: str, environ: Mapping[str, str] | None) -> KeySource:
    where = SecretRef.parse(reference)
    if where.source is SecretSource.FILE:
        keys = ReferredKeys(where)
        keys.ring()
        return keys
    return GivenKeys(parse(where.resolve(environ).reveal(), str(where)))
