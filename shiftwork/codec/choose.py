"""Which codec the settings ask for."""

from collections.abc import Mapping

from shiftwork.codec.known import KnownKeys, Tell
from shiftwork.codec.payloads import EncryptionCodec
from shiftwork.codec.sources import encodes, key_source
from shiftwork.settings import Settings


def choose_codec(
    settings: Settings, environ: Mapping[str, str] | None = None, *, tell: Tell | None = None
) -> EncryptionCodec | None:
    """The codec of everybody who speaks to Temporal with these settings; None if none is needed.

    Switched off, it still decodes what was encoded before.

    Args:
        environ: our own environment unless it is given.
        tell: learns the keys, now and whenever they change.

    Raises:
        InvalidInput: the keys that the settings name can't be used.
        StackError: the key file can't be used.
    """
    keys = key_source(settings, environ)
    if keys is None:
        return None
    if tell is not None:
        keys = KnownKeys(keys, tell)
    keys.ring()  # a mistake in them is told now, not by the first workflow
    return EncryptionCodec(keys, encodes=encodes(settings, environ))
