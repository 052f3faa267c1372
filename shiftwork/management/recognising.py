"""What workers know, for the redactor of a process that does not: a client, or a program of somebody's."""

import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from shiftwork.secrets import Fingerprints, LazyRedactor
from shiftwork.settings import Settings
from shiftwork.store.fingerprints import bodies, published

if TYPE_CHECKING:
    from shiftwork.codec.sources import KeySource


log = logging.getLogger("shiftwork.fingerprints")


class Recognition:
    """Has a redactor find what the workers of a database published, as far as we have the codec's keys.

    Without keys, and where nothing is published, it finds what it knows itself, as before. No key is made.

    Args:
        settings: say where the keys are.
        redactor: is told of what is found.
    """

    def __init__(self, settings: Settings, redactor: LazyRedactor) -> None:
        self._settings = settings
        self._redactor = redactor
        self._keys: KeySource | None = None
        self._contents: list[tuple[str, str]] = []
        self._whole = True
        self._looked: float | None = None

    def learn(self, connection: Connection, *, within: float = 0.0) -> None:
        """Look at what is published, unless that was done within so many seconds.

        Raises:
            InvalidInput: the keys that the settings name can't be used.
            StackError: the key file can't be used.
        """
        now = time.monotonic()
        if self._looked is not None and now - self._looked < within:
            return
        contents, left_out = published(connection)
        changed = contents != self._contents
        if changed and left_out:
            log.warning(
                "the secrets of %d workers are not recognised: the table 'secret_fingerprints' holds "
                "more than can be read; remove the rows of workers that are gone",
                left_out,
            )
        if changed or not self._whole:  # the key of what could not be opened may have come
            opened = list(self._opened(bodies(connection, [owner for owner, _ in contents])))
            self._redactor.recognise(Fingerprints(opened))
            self._whole = len(opened) == len(contents)
        self._contents, self._looked = contents, now

    def _opened(self, rows: list[tuple[str, bytes]]) -> Iterator[bytes]:
        # Imported here: most commands write nothing, and these take a while.
        from shiftwork.codec.fingerprints import open_fingerprints  # noqa: PLC0415
        from shiftwork.codec.sealing import Seal  # noqa: PLC0415
        from shiftwork.codec.sources import existing_keys  # noqa: PLC0415

        self._keys = self._keys or existing_keys(self._settings)
        if self._keys is None:
            return
        for owner, body in rows:
            document = open_fingerprints(Seal(self._keys), owner, body)
            if document is not None:
                yield document
