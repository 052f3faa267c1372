"""Finding a task by what people call it."""

from uuid import UUID

from shiftwork.errors import NotFound
from shiftwork.store.store import Store
from shiftwork.store.task_rows import TaskRow


async def find_task(store: Store, ref: int | str) -> TaskRow:
    """The task of this number or public id; raises `NotFound`."""
    text = str(ref)
    async with store.transaction() as tx:
        if text.isascii() and text.isdigit():
            return await tx.tasks.get(int(text))
        try:
            uuid = str(UUID(text))
        except ValueError:
            raise NotFound(f"There is no task {text!r:.80}: give its number, or its UUID.") from None
        return await tx.tasks.by_uuid(uuid)
