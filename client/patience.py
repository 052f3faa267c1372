"""The rows of a stack, for those who wait: a stack that went is found again. Imports no Temporal."""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from client.resting import POLL_SECONDS
from shiftwork.errors import StackError
from shiftwork.management.recognising import Recognition
from shiftwork.secrets import LazyRedactor
from shiftwork.settings import Settings
from shiftwork.stack.file import database_url, has_own_database
from shiftwork.store.store import Store, Transaction

Answered = TypeVar("Answered")

OnSilence = Callable[[float | None], None]
"""Is told for how many seconds the stack has not answered; None: it answers again."""

PATIENCE_SECONDS = 60.0
_TELL_AFTER = 3.0
_TELL_EVERY = 10.0


class PatientStore(Store):
    """The store of a stack, wherever that is started again; `read` waits for one that is away.

    Attributes:
        on_silence: is called again and again while a `read` gets no answer, and once when it gets one.
        redactor: takes secrets that this process knows, or recognises, out of what it writes.
    """

    def __init__(
        self, settings: Settings, *, on_silence: OnSilence | None = None, patience: float = PATIENCE_SECONDS
    ) -> None:
        url = database_url(settings)
        self.redactor = LazyRedactor(os.environ, [url])
        super().__init__(
            url,
            redact=self.redactor,
            learns=Recognition(settings, self.redactor),
            moved=partial(database_url, settings),
            own_server=has_own_database(settings),
        )
        self.on_silence = on_silence
        self._patience = patience

    async def read(self, read: Callable[[Transaction], Awaitable[Answered]]) -> Answered:
        """Read in a transaction of its own.

        Raises:
            StackError: the stack has been away for too long; says whether it is still there at all.
        """
        since = time.monotonic()
        silent = False
        while True:
            try:
                async with self.transaction() as tx:
                    answer = await read(tx)
            except StackError:
                seconds = time.monotonic() - since
                if seconds > self._patience:
                    raise
                silent = True
                self._tell(seconds)
                await asyncio.sleep(POLL_SECONDS)
            else:
                if silent:
                    self._tell(None)
                return answer

    def _tell(self, seconds: float | None) -> None:
        if self.on_silence is not None:
            self.on_silence(seconds)


class SilenceLines:
    """Tells people on standard error that the stack does not answer: soon, and then now and again."""

    def __init__(self) -> None:
        self._next = _TELL_AFTER

    def __call__(self, seconds: float | None) -> None:
        """Take what `PatientStore` tells."""
        if seconds is None:
            if self._next > _TELL_AFTER:
                print("The stack answers again.", file=sys.stderr, flush=True)
            self._next = _TELL_AFTER
        elif seconds >= self._next:
            print(silence(seconds), file=sys.stderr, flush=True)
            self._next = seconds + _TELL_EVERY


def silence(seconds: float) -> str:
    """The sentence about a stack that does not answer."""
    return f"The stack is not answering ({seconds:.0f} s); is `shiftwork dev` running?"
