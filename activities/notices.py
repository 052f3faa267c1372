"""A worker tells a webhook of each task that has ended; of several workers one tells of each."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from shiftwork.errors import InvalidInput, ShiftworkError
from shiftwork.secrets import LazyRedactor, Secret
from shiftwork.secrets.reference import SecretRef
from shiftwork.settings import Settings
from shiftwork.store.notices import TRIES, Notice
from shiftwork.store.store import Store
from shiftwork.tasks.webhook import Webhook
from shiftwork.text import one_line, truncate

LOOK_SECONDS = 1.0
"""How often is looked for ends that nobody was told of."""

_AT_ONCE = 10
_FOUND_AT_ONCE = 500
_MOST_SHOWN = 300

log = logging.getLogger("shiftwork.webhook")


async def webhook_of(settings: Settings, redactor: LazyRedactor) -> Webhook | None:
    """The one that the settings name, whose address and secret are kept out of what is stored; None: none.

    Raises:
        InvalidInput: they name what can't be one, or its secret is not there.
    """
    if settings.task_webhook is None:
        return None
    secret = None
    if settings.task_webhook_secret is not None:
        try:
            reference = SecretRef.parse(settings.task_webhook_secret)
        except InvalidInput as error:
            raise InvalidInput(f"SHIFTWORK_TASK_WEBHOOK_SECRET can't be used: {error}") from None
        secret = await asyncio.to_thread(reference.resolve)  # a keyring may ask a person first
        redactor.learn(secret)
    found = Webhook(settings.task_webhook, secret)
    redactor.learn(Secret("task-webhook", settings.task_webhook))
    return found


@asynccontextmanager
async def telling_of_ends(store: Store, webhook: Webhook | None) -> AsyncIterator[None]:
    """Have a webhook told of the tasks that end, from the first time that it is given on; None: nobody is.

    What it does not take is tried again, for three days; so it may hear of an end more than once. Enter this
    before anything is run: of what ends earlier it would not hear.
    """
    if webhook is None:
        yield
        return
    async with store.transaction() as tx:
        await tx.notices.join(webhook.endpoint)
    async with webhook:
        telling = asyncio.create_task(_Teller(store, webhook).run())
        try:
            yield
        finally:
            telling.cancel()
            with suppress(asyncio.CancelledError):
                await telling


class _Teller:
    """Looks for ends, and tells a webhook of them."""

    def __init__(self, store: Store, webhook: Webhook) -> None:
        self._store = store
        self._webhook = webhook
        self._trouble = ""

    async def run(self) -> None:
        """Tell of them until it is cancelled."""
        while True:
            try:
                more = await self._look()
            except Exception as error:  # noqa: BLE001 - nobody awaits this task: it must not end unseen
                self._met(error)  # what was not told stays due
                more = False
            if not more:
                await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> bool:
        """Tell of what is due; whether more may be."""
        async with self._store.transaction() as tx:
            found = await tx.notices.find(self._webhook.endpoint, _FOUND_AT_ONCE)
        async with self._store.transaction() as tx:
            due = await tx.notices.claim(self._webhook.endpoint, _AT_ONCE)
        told = await asyncio.gather(*(self._tell_one(notice) for notice in due))
        # One that takes nothing is not to be asked as fast as it refuses.
        return found == _FOUND_AT_ONCE or (len(due) == _AT_ONCE and any(told))

    async def _tell_one(self, notice: Notice) -> bool:
        """Whether it took this; raises nothing, as others are told at the same time."""
        try:
            await self._webhook.tell(notice)
            async with self._store.transaction() as tx:
                await tx.notices.delivered(self._webhook.endpoint, notice.id)
        except Exception as error:  # noqa: BLE001 - as above
            self._met(error)
            if notice.attempts == TRIES:
                log.warning("given up, after %d tries: task %d is %s", TRIES, notice.id, notice.status)
            return False
        if self._trouble:
            log.info("the webhook is told again; it was not, because: %s", self._trouble)
            self._trouble = ""
        return True

    def _met(self, error: Exception) -> None:
        """Said once while it lasts."""
        trouble = str(error)
        if not isinstance(error, ShiftworkError):
            trouble = f"{type(error).__name__}: {truncate(one_line(trouble), _MOST_SHOWN)}"
        level = logging.DEBUG if trouble == self._trouble else logging.WARNING
        log.log(level, "not told, and to be tried again: %s", trouble)
        self._trouble = trouble
