"""A process in which an environment is held against the rules; see `isolated`."""

import asyncio
import signal
from typing import BinaryIO

from shiftwork.environments.conformance import check_harness
from shiftwork.environments.conformance.child import ordered, tell
from shiftwork.environments.conformance.isolated import Check, Said
from shiftwork.environments.conformance.report import ConformanceReport
from shiftwork.errors import ShiftworkError


async def _check(order: Check, writes: BinaryIO) -> ConformanceReport:
    return await check_harness(
        order.made,
        seed=order.seed,
        episodes=order.episodes,
        steps=order.steps,
        call_seconds=order.call_seconds,
        on_call=lambda call: tell(writes, Said(call=call)),
        on_report=lambda report: tell(writes, Said(report=report)),
    )


def main() -> None:
    """Check what is ordered, and stay until whoever started us ends this process and what it left behind."""
    order, writes = ordered(Check)
    assert isinstance(order, Check), "read as one"
    try:
        tell(writes, Said(report=asyncio.run(_check(order, writes)), over=True))
    except ShiftworkError as error:
        tell(writes, Said(wrong=str(error)))
    signal.pause()


if __name__ == "__main__":
    main()
