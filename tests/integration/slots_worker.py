"""A worker of nothing but processes, with the slots that ours have: its settings are its environment.

python -m tests.integration.slots_worker ADDRESS QUEUE NAME
"""

import asyncio
import logging
import sys

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import FixedSizeSlotSupplier, Worker, WorkerTuner

from activities.slots import process_slots
from shiftwork.settings import Settings


class Agent:
    """Stands for what runs in a slot."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._running = self._most = 0

    @activity.defn
    async def run(self, seconds: float, together: int) -> str:
        """Take some time, or until so many run at once, if that is said; tells which worker ran it.

        And that they never did, if so.
        """
        self._running += 1
        self._most = max(self._most, self._running) if self._running > 1 else 1
        try:
            for _ in range(round(seconds * 10)):
                if together and self._most >= together:
                    return self._worker
                activity.heartbeat()
                await asyncio.sleep(0.1)
        finally:
            self._running -= 1
        return f"{self._worker}, never {together} at once" if together else self._worker


async def main(address: str, queue: str, name: str) -> None:
    """Run until killed."""
    client = await Client.connect(address)
    one = FixedSizeSlotSupplier(1)
    tuner = WorkerTuner.create_composite(
        workflow_supplier=one,
        activity_supplier=process_slots(client, Settings.from_environment(), queue),
        local_activity_supplier=one,
        nexus_supplier=one,
    )
    async with Worker(client, task_queue=queue, activities=[Agent(name).run], tuner=tuner):
        logging.getLogger(__name__).info("ready")
        await asyncio.Event().wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    asyncio.run(main(*sys.argv[1:]))
